/**
 * One message: its fields, and its body as text. Nothing of it is read as anything but text.
 *
 * @module
 */
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { bytes, count } from "../core/format.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { bodyText, maskedPieces } from "./request_facts.ts";
import type { ShownBody, ShownField } from "./traffic_types.ts";

export interface MessageProps {
  readonly title: string;
  readonly fields: readonly ShownField[];
  readonly body: ShownBody | undefined;
  /** In place of a body that is not there. */
  readonly noBody: string;
}

export function Message({ title, fields, body, noBody }: MessageProps): JSX.Element {
  const contentType = fields.find(({ name }) => name.toLowerCase() === "content-type")?.value ?? "";
  return (
    <section class="message" aria-label={title}>
      <h3>{title}</h3>
      {fields.length === 0 ? <p class="muted">No header fields</p> : (
        <dl class="head-fields mono">
          {fields.map(({ name, value }, index) => (
            // A field may come twice: its place is its name.
            <div key={index}>
              <dt>{visible(name)}</dt>
              <dd>
                <Masked value={value} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {body === undefined
        ? <p class="muted">{noBody}</p>
        : <Body body={body} contentType={contentType} title={title} />}
    </section>
  );
}

/** A value in which what was masked can be told from what a visitor wrote. */
export function Masked({ value }: { readonly value: string }): JSX.Element {
  return (
    <>
      {maskedPieces(value).map(({ text, isMask }, index) =>
        isMask
          ? <span key={index} class="mask" title="A secret: it is not shown">masked</span>
          : visible(text)
      )}
    </>
  );
}

interface BodyProps {
  readonly body: ShownBody;
  readonly contentType: string;
  readonly title: string;
}

function Body({ body, contentType, title }: BodyProps): JSX.Element {
  const [isWhole, setWhole] = useState(false);
  const { text, more } = useMemo(() => bodyText(body, contentType, isWhole), [body, contentType, isWhole]);
  const { format, contentEncoding, isCut, note } = body;
  return (
    <>
      <p class="body-facts">
        Body of {bytes(body.bytes)}
        {contentEncoding !== undefined && (
          <Badge word="info" label={`${visible(contentEncoding)}, shown decoded`} />
        )}
        {format === "base64" && <Badge word="info" label="bytes" />}
        {isCut && <Badge word="warning" label="cut" title="There is more of it than was recorded" />}
      </p>
      {note !== undefined && <p class="warning">{note}</p>}
      {text !== "" && (
        <pre
          class="body-text"
          tabIndex={0}
          aria-label={`Body of: ${title}`}
        >{lines(text)}</pre>
      )}
      {more > 0 && <button type="button" onClick={() => setWhole(true)}>Show {count(more)} more</button>}
    </>
  );
}

/** Lines and tabs stay what they are. */
function lines(text: string): string {
  return text.split(/(\r?\n|\t)/).map((part, index) => index % 2 === 1 ? part : visible(part)).join("");
}
