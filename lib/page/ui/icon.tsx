/**
 * Small signs, drawn as strokes in the colour of the text. They never stand alone: words are beside them, or in the
 * label of what they are in.
 *
 * @module
 */
import type { JSX } from "preact";

const PATHS = {
  map: "M3 6h4v4H3zM17 3h4v4h-4zM17 15h4v4h-4zM7 8h3M14 5h3M14 17h3M10 3v18M14 3v18",
  events: "M12 3l9 16H3zM12 9v5M12 16.5v.5",
  traffic: "M3 20V4M3 20h18M7 16l4-6 3 3 6-8",
  policy: "M5 4h14v16H5zM8 8h8M8 12h8M8 16h5",
  links: "M9 15l6-6M8 12l-2 2a3.5 3.5 0 005 5l2-2M16 12l2-2a3.5 3.5 0 00-5-5l-2 2",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.5l4.5 4.5L19 7",
  cross: "M6 6l12 12M18 6L6 18",
  question: "M9 9a3 3 0 116 0c0 2-3 2.5-3 5M12 17.5v.5",
  search: "M10.5 4a6.5 6.5 0 110 13 6.5 6.5 0 010-13zM15.5 15.5L20 20",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  up: "M12 19V5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  copy: "M8 8h11v12H8zM5 16V4h11",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  play: "M7 4l12 8-12 8z",
  stop: "M6 6h12v12H6z",
  undo: "M8 5L4 9l4 4M4 9h9a5 5 0 010 10h-3",
  sun: "M12 8a4 4 0 110 8 4 4 0 010-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  moon: "M19 14A8 8 0 1110 5a6.5 6.5 0 009 9z",
  user: "M12 4a4 4 0 110 8 4 4 0 010-8zM4 20c1-4 4-6 8-6s7 2 8 6",
  wall:
    "M3 5h18v14H3zM3 9.7h18M3 14.3h18M9 5v4.7M15 5v4.7M6 9.7v4.6M12 9.7v4.6M18 9.7v4.6M9 14.3V19M15 14.3V19",
  clock: "M12 3a9 9 0 110 18 9 9 0 010-18zM12 7v5l3.5 2",
  filter: "M3 5h18l-7 8v6l-4-2v-4z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { readonly name: IconName; readonly size?: number }): JSX.Element {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
