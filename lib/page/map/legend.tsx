/**
 * What the signs of the map mean, in words.
 *
 * @module
 */
import type { JSX } from "preact";
import { LINE_STATES, type LineState, STATE_WORDS } from "./line.ts";
import { ALERTS_WORDS } from "./alerts.ts";
import { AlertSign, LineSign } from "./line_view.tsx";

/** From the one that wants no eye to the one that wants one first. */
const SHOWN = [...LINE_STATES].reverse();

const ALERT_MEANING = `learned or allowed by now, but there were alerts or refusals in the ${ALERTS_WORDS}`;

export function Legend(): JSX.Element {
  return (
    <div class="map-legend">
      <ul aria-label="Legend">
        {SHOWN.map((state) => (
          <li key={state} title={STATE_WORDS[state].meaning}>
            <Sample state={state} /> {STATE_WORDS[state].name}
          </li>
        ))}
        <li title={ALERT_MEANING}>
          <AlertSample /> alerts lately
        </li>
      </ul>
      <details class="map-about">
        <summary>What is this?</summary>
        <div>
          <dl>
            {SHOWN.map((state) => (
              <div key={state}>
                <dt>{STATE_WORDS[state].name}</dt>
                <dd>{STATE_WORDS[state].meaning}</dd>
              </div>
            ))}
            <div>
              <dt>alerts lately</dt>
              <dd>{ALERT_MEANING}</dd>
            </div>
          </dl>
          <p>
            Every line passes the gateway, between workloads too: nothing else is reachable. The thicker a
            line, the more goes over it. A flash is a new request or connection. A dashed workload has no
            agent linked.
          </p>
          <p>
            The arrow keys move, <kbd>Shift</kbd> + <kbd>Tab</kbd> leads from a node to its lines,{" "}
            <kbd>Enter</kbd> opens, <kbd>+</kbd> <kbd>−</kbd> <kbd>0</kbd> zoom, <kbd>/</kbd> searches,{" "}
            <kbd>Esc</kbd> goes back.
          </p>
        </div>
      </details>
    </div>
  );
}

/** A line as it is on the map. */
export function Sample({ state }: { readonly state: LineState }): JSX.Element {
  return (
    <svg class="map-sample" width="46" height="20" viewBox="0 0 46 20" aria-hidden="true">
      <g class={`line is-${state}`}>
        <path class="line-way" d="M1,10H45" stroke-width="2.5" />
        <LineSign state={state} x={23} y={10} />
      </g>
    </svg>
  );
}

/** The sign of alerts as it is on the map. */
export function AlertSample(): JSX.Element {
  return (
    <svg class="map-sample" width="20" height="20" viewBox="0 0 20 20" aria-hidden="true">
      <AlertSign x={10} y={10} />
    </svg>
  );
}
