/**
 * A panel at the right edge that leaves the rest of the page in reach. On a narrow screen it takes the whole width.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "../ui/icon.tsx";

export interface SidePanelProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}

export function SidePanel({ title, onClose, children }: SidePanelProps): JSX.Element {
  const panel = useRef<HTMLElement>(null);
  const id = useId();
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (
        event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]") !== null
      ) return;
      // Of two panels the later one is above.
      if ([...document.querySelectorAll(".side-panel")].at(-1) !== panel.current) return;
      event.preventDefault();
      close.current();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  useFocus(panel);
  return (
    <aside ref={panel} class="side-panel" aria-labelledby={id} tabIndex={-1}>
      <header class="side-head">
        <h2 id={id}>{title}</h2>
        <button type="button" class="quiet" aria-label="Close the panel" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </aside>
  );
}

/** The panel stands behind everything else in the order of the page, so the focus goes there, and back in the end. */
function useFocus(panel: { readonly current: HTMLElement | null }): void {
  useEffect(() => {
    const before = document.activeElement;
    const shown = panel.current;
    // Whoever came by a link has not been anywhere yet.
    if (before !== document.body) shown?.focus({ preventScroll: true });
    return () => {
      const isInside = shown?.contains(document.activeElement) === true ||
        document.activeElement === document.body;
      if (
        isInside && before !== document.body &&
        (before instanceof HTMLElement || before instanceof SVGElement)
      ) {
        before.focus({ preventScroll: true });
      }
    };
  }, []);
}
