/**
 * A text to copy, such as a command: shown whole, with a button.
 *
 * @module
 */
import type { JSX } from "preact";
import { useId, useRef, useState } from "preact/hooks";
import { Icon } from "../ui/icon.tsx";

/** How long the button says that it was done. */
const COPIED_MS = 3_000;

export function CopyBox({ title, text }: { readonly title: string; readonly text: string }): JSX.Element {
  const box = useRef<HTMLPreElement>(null);
  const id = useId();
  const [outcome, setOutcome] = useState<"" | "copied" | "selected">("");
  const copy = async (): Promise<void> => {
    try {
      // Not there on a page that came over plain HTTP from another machine.
      await navigator.clipboard.writeText(text);
      setOutcome("copied");
    } catch {
      getSelection()?.selectAllChildren(box.current!);
      setOutcome("selected");
    }
    setTimeout(() => setOutcome(""), COPIED_MS);
  };
  return (
    <div class="copy-box">
      <div class="copy-head">
        <span id={id}>{title}</span>
        <span role="status" class="muted">
          {outcome === "copied" ? "Copied" : outcome === "selected" ? "Selected: press Ctrl-C" : ""}
        </span>
        <button type="button" aria-describedby={id} onClick={() => void copy()}>
          <Icon name="copy" /> Copy
        </button>
      </div>
      <pre ref={box} tabIndex={0} aria-labelledby={id}>{text}</pre>
    </div>
  );
}
