/**
 * Holds the rows of the table still while the user is at them: nothing jumps away under the mouse.
 *
 * @module
 */
import { useReducer, useRef } from "preact/hooks";
import type { NetwallEvent } from "../core/types.ts";
import { type HeldRows, heldRows } from "./feed.ts";

export interface HeldView extends HeldRows {
  /** Shows what waits; the rows stay held. */
  show(): void;
}

/** @param key Of the filters: other ones are another list. */
export function useHeldRows(rows: readonly NetwallEvent[], isHeld: boolean, key: string): HeldView {
  const held = useRef<{ readonly key: string; readonly rows: readonly NetwallEvent[] } | undefined>(
    undefined,
  );
  const [, draw] = useReducer((count: number, _: undefined) => count + 1, 0);
  if (!isHeld) held.current = undefined;
  // An empty list that is held would show nothing at all of what comes.
  else if ((held.current === undefined || held.current.key !== key) && rows.length > 0) {
    held.current = { key, rows };
  } else if (held.current?.key !== key) held.current = undefined;
  const current = held.current;
  return {
    ...(current === undefined ? { rows, waiting: 0 } : heldRows(current.rows, rows)),
    show(): void {
      held.current = undefined;
      draw(undefined);
    },
  };
}
