/**
 * The table of events: at most `SHOWN_MAX` rows at a time, however many there are.
 *
 * The narrow screen shows the same table as cards, so roles are written out: the style of a card would take them away.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { NetwallEvent } from "../core/types.ts";
import { EventRow } from "./event_row.tsx";

/** Rows that are in the page at once. */
export const SHOWN_MAX = 100;

const COLUMNS: readonly (readonly [string, string, string?])[] = [
  ["time", "Time", "The last time, where you are"],
  ["effect", "Effect"],
  ["what", "What"],
  ["container", "Container", "Its name or id, as its agent claims it"],
  ["host", "Host", "The hostname that the agent claims"],
  ["image", "Image", "As enrolled in the token"],
  ["source", "Source"],
  ["destination", "Destination"],
  ["rule", "Rule", "The rule that decided, or what did where none did"],
  ["count", "Count", "Equal events of five minutes are one"],
];

/** What an agent says of its container: shown, never believed. */
const CLAIMED: ReadonlySet<string> = new Set(["container", "host"]);

export interface EventTableProps {
  readonly rows: readonly NetwallEvent[];
  /** The id of the event that is open. */
  readonly chosen: string | undefined;
  readonly onOpen: (id: string) => void;
  /** The user has come to the rows with the mouse, or has left them. */
  readonly onHover: (isOver: boolean) => void;
  /** The user has gone down in the table, or is back at its top. */
  readonly onScroll: (isDown: boolean) => void;
}

export function EventTable({ rows, chosen, onOpen, onHover, onScroll }: EventTableProps): JSX.Element {
  const frame = useRef<HTMLDivElement>(null);
  useRowKeys(frame, chosen !== undefined, onOpen);
  return (
    <div
      ref={frame}
      class="table-frame event-frame"
      tabIndex={0}
      role="region"
      aria-label="Events, newest first"
      onScroll={(event) => onScroll(event.currentTarget.scrollTop > 8)}
    >
      <table class="event-table" role="table">
        <caption class="hidden">
          Events, newest first. The keys j and k go through the rows, Enter opens one.
        </caption>
        <thead role="rowgroup">
          <tr role="row">
            {COLUMNS.map(([name, words, title]) => (
              <th key={name} role="columnheader" scope="col" class={`event-${name}`} title={title}>
                {words}
                {CLAIMED.has(name) && <span class="event-claimed">claimed</span>}
              </th>
            ))}
          </tr>
        </thead>
        <tbody
          role="rowgroup"
          onPointerEnter={(event) => event.pointerType === "mouse" && onHover(true)}
          onPointerLeave={(event) => event.pointerType === "mouse" && onHover(false)}
        >
          {rows.map((event) => (
            <EventRow key={event.id} event={event} isChosen={event.id === chosen} onOpen={onOpen} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The keys j and k anywhere in the view, arrows within the table: to the next row, or the one before. */
function useRowKeys(
  frame: { readonly current: HTMLDivElement | null },
  isOpen: boolean,
  onOpen: (id: string) => void,
): void {
  const open = useRef(onOpen);
  open.current = onOpen;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const step = stepOf(event, frame.current);
      if (step === 0 || frame.current === null) return;
      const buttons = [...frame.current.querySelectorAll<HTMLButtonElement>(".event-open")];
      const at = buttons.findIndex((button) => button === document.activeElement);
      const start = at >= 0 && !isOpen ? at : buttons.findIndex((button) => button.ariaPressed === "true");
      const next = buttons[start < 0 ? 0 : Math.min(buttons.length - 1, Math.max(0, start + step))];
      if (next === undefined) return;
      event.preventDefault();
      // The open event follows, so that one can read through them; the focus stays where it is then.
      if (isOpen) next.click();
      else next.focus();
      next.closest("tr")?.scrollIntoView({ block: "nearest" });
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [isOpen]);
}

function stepOf({ key, target, ctrlKey, metaKey, altKey }: KeyboardEvent, frame: HTMLElement | null): number {
  if (ctrlKey || metaKey || altKey || !(target instanceof HTMLElement)) return 0;
  if (target.closest("input, select, textarea, dialog") !== null) return 0;
  if (key === "j") return 1;
  if (key === "k") return -1;
  if (!target.classList.contains("event-open") || !frame?.contains(target)) return 0;
  return key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0;
}
