/**
 * A dialog: the browser's own, which keeps the focus inside, closes with Escape and gives the focus back.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Icon } from "./icon.tsx";

export interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  /** At the right edge, over the whole height. @default false */
  readonly isPanel?: boolean;
  readonly isWide?: boolean;
  readonly children?: ComponentChildren;
}

export function Dialog({ title, onClose, isPanel, isWide, children }: DialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const shown = dialog.current!;
    const before = document.activeElement;
    shown.showModal();
    return () => {
      shown.close();
      if (before instanceof HTMLElement || before instanceof SVGElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={`dialog${isPanel ? " panel" : ""}${isWide ? " wide" : ""}`}
      aria-labelledby={id}
      onCancel={(event) => {
        // The state of the page closes it, not the browser.
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
