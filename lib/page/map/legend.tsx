/**
 * What the signs of the map mean, in words.
 *
 * @module
 */
import type { JSX } from "preact";
import { LINE_STATES, type LineState, STATE_WORDS } from "./line.ts";
import { LineSign } from "./line_view.tsx";

/** From the one that wants no eye to the one that wants one first. */
const SHOWN = [...LINE_STATES].reverse();

export function Legend(): JSX.Element {
  return (
    <div class="map-legend">
      <ul aria-label="Legend">
        {SHOWN.map((state) => (
          <li key={state} title={STATE_WORDS[state].meaning}>
            <Sample state={state} /> {STATE_WORDS[state].name}
          </li>
        ))}
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
