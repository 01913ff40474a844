/**
 * A field for a long text, with the numbers of its lines and what is wrong in them.
 *
 * The tab key goes on to the next control, as everywhere.
 *
 * @module
 */
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { ApiError } from "../core/api.ts";
import { plural } from "../core/format.ts";
import { spanOfLine } from "./text_merge.ts";

export interface TextEditorProps {
  readonly text: string;
  readonly errors: ApiError["errors"];
  readonly isReadOnly: boolean;
  readonly onInput: (text: string) => void;
}

export function TextEditor({ text, errors, isReadOnly, onInput }: TextEditorProps): JSX.Element {
  const area = useRef<HTMLTextAreaElement>(null);
  const gutter = useRef<HTMLPreElement>(null);
  const lines = text.split("\n").length;
  const numbers = useMemo(() => Array.from({ length: lines }, (_, index) => index + 1).join("\n"), [lines]);
  const show = (line: number): void => {
    const field = area.current!;
    const { start, end } = spanOfLine(field.value, line);
    field.focus();
    field.setSelectionRange(start, end);
    const heightPx = Number.parseFloat(getComputedStyle(field).lineHeight);
    field.scrollTop = Math.max(0, (line - 4) * heightPx);
  };
  return (
    <>
      {errors.length > 0 && (
        <div class="policy-faults" role="alert" id="policy-text-faults">
          <p>{plural(errors.length, "place")} of the text cannot be used:</p>
          <ul>
            {errors.map(({ line, path, message }) => (
              <li key={`${line}:${path}:${message}`}>
                {line !== undefined && (
                  <button type="button" class="quiet" onClick={() => show(line)}>line {line}</button>
                )} {path !== "" && <code>{path}</code>} {message}
              </li>
            ))}
          </ul>
        </div>
      )}
      <div class="policy-text">
        <pre ref={gutter} aria-hidden="true">{numbers}</pre>
        <textarea
          ref={area}
          aria-label="Policy as YAML"
          aria-invalid={errors.length > 0 ? true : undefined}
          aria-describedby={errors.length > 0 ? "policy-text-faults" : undefined}
          spellcheck={false}
          autocomplete="off"
          wrap="off"
          readOnly={isReadOnly}
          value={text}
          onInput={(event) => onInput(event.currentTarget.value)}
          onScroll={(event) => {
            gutter.current!.scrollTop = event.currentTarget.scrollTop;
          }}
        />
      </div>
    </>
  );
}
