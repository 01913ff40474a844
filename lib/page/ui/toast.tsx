/**
 * Short messages at the edge: what was done, with a way back; what went wrong.
 *
 * @module
 */
import type { JSX } from "preact";
import { signal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Icon } from "./icon.tsx";

export interface Toast {
  readonly text: string;
  readonly kind?: "done" | "fault";
  /** Such as Undo. */
  readonly action?: { readonly label: string; run(): void };
}

/** More at once would hide the page. */
const SHOWN_MAX = 4;
/** One with an action stays until it is closed, or others take its place. */
const SHOWN_MS = 8_000;

const toasts = signal<readonly (Toast & { readonly id: number })[]>([]);
let lastId = 0;

export function showToast(toast: Toast): void {
  const id = ++lastId;
  // Only the last change is offered to be taken back: an older one may mean something else by now.
  const others = toast.action === undefined
    ? toasts.value
    : toasts.value.filter(({ action }) => action === undefined);
  toasts.value = [...others, { ...toast, id }].slice(-SHOWN_MAX);
  if (toast.action === undefined && toast.kind !== "fault") setTimeout(() => close(id), SHOWN_MS);
}

function close(id: number): void {
  toasts.value = toasts.value.filter((toast) => toast.id !== id);
}

export function Toasts(): JSX.Element {
  const before = useRef<EventTarget | null>(null);
  const leave = (id: number): void => {
    // The button that has the focus goes away: the focus goes back to where it was.
    const last = before.current;
    const isThere = (last instanceof HTMLElement || last instanceof SVGElement) && last.isConnected;
    (isThere ? last : document.getElementById("view"))?.focus({ preventScroll: true });
    close(id);
  };
  return (
    <div
      class="toasts"
      role="status"
      aria-live="polite"
      onFocusIn={({ currentTarget, relatedTarget }) => {
        if (!(relatedTarget instanceof Node && currentTarget.contains(relatedTarget))) {
          before.current = relatedTarget;
        }
      }}
    >
      {toasts.value.map(({ id, text, kind = "done", action }) => (
        <div key={id} class={`toast ${kind}`}>
          <Icon name={kind === "done" ? "check" : "events"} />
          <span>{text}</span>
          {action && (
            <button
              type="button"
              onClick={() => {
                leave(id);
                action.run();
              }}
            >
              {action.label}
            </button>
          )}
          <button type="button" class="quiet" aria-label="Close this message" onClick={() => leave(id)}>
            <Icon name="close" size={14} />
          </button>
        </div>
      ))}
    </div>
  );
}
