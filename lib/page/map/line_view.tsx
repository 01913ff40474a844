/**
 * A line of the map, with its sign. Drawn anew only when what is seen of it has changed.
 *
 * @module
 */
import { Component, type JSX } from "preact";
import type { LineState } from "./line.ts";
import type { LinePath } from "./paths.ts";

export interface LineViewProps {
  readonly id: string;
  readonly path: LinePath;
  readonly state: LineState;
  readonly widthPx: number;
  /** What does not change with every request: a screen reader would never come to an end. */
  readonly label: string;
  readonly isChosen: boolean;
  /** There were alerts lately, and no other sign says so. */
  readonly hasAlertSign: boolean;
}

/** Signs of their own, so that colour is never all there is. */
const SIGNS: Partial<Record<LineState, string>> = {
  // A question mark; a cross.
  unknown: "M-3,-2.6a3,3 0 1 1 4,2.8c-.8,.4 -1,.8 -1,1.8M0,4.6v.4",
  blocked: "M-4,-4L4,4M4,-4L-4,4",
};

/** Of the sign, and of what takes clicks beside a thin line. */
const SIGN_RADIUS = 7.5;
const HIT_PIXELS = 12;

export class LineView extends Component<LineViewProps> {
  override shouldComponentUpdate(next: LineViewProps): boolean {
    const now = this.props;
    return next.path !== now.path || next.state !== now.state || next.widthPx !== now.widthPx ||
      next.label !== now.label || next.isChosen !== now.isChosen ||
      next.hasAlertSign !== now.hasAlertSign;
  }

  override render({ id, path, state, widthPx, label, isChosen, hasAlertSign }: LineViewProps): JSX.Element {
    return (
      <g
        class={`line is-${state}${isChosen ? " is-chosen" : ""}`}
        data-line={id}
        tabindex={-1}
        role="button"
        aria-label={label}
      >
        <path class="line-hit" d={path.d} stroke-width={HIT_PIXELS} />
        <path class="line-way" d={path.d} stroke-width={widthPx} marker-end={`url(#map-arrow-${state})`} />
        <LineSign state={state} x={path.mark.x} y={path.mark.y} />
        {hasAlertSign && <AlertSign x={path.mark.x} y={path.mark.y} />}
      </g>
    );
  }
}

/** Of its middle. */
interface SignPlace {
  readonly x: number;
  readonly y: number;
}

interface LineSignProps extends SignPlace {
  readonly state: LineState;
}

/** What a line bears that is well now, and was not a moment ago. */
export function AlertSign({ x, y }: SignPlace): JSX.Element {
  return (
    <g class="line-sign is-alert" transform={`translate(${x},${y})`}>
      <circle r={SIGN_RADIUS} />
      <path d="M0,-4V1M0,4v.3" />
    </g>
  );
}

/** What a line bears beside its colour and its dashes; states that want no eye have none. */
export function LineSign({ state, x, y }: LineSignProps): JSX.Element | null {
  const sign = SIGNS[state];
  if (sign === undefined) return null;
  return (
    <g class="line-sign" transform={`translate(${x},${y})`}>
      {state === "blocked" && <path class="line-bar" d="M0,-11V11" />}
      <circle r={SIGN_RADIUS} />
      <path d={sign} />
    </g>
  );
}
