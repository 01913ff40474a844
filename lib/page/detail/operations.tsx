/**
 * What was learned of an HTTP edge: methods, routes and content types.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { count } from "../core/format.ts";
import type { ModelEdge } from "../core/types.ts";
import { operationsOf } from "./edge_facts.ts";

/** A model may have thousands. */
const SHOWN_FIRST = 12;
const SHOWN_MAX = 200;

export function Operations({ edge }: { readonly edge: ModelEdge }): JSX.Element {
  const [isAll, setAll] = useState(false);
  const operations = operationsOf(edge);
  if (operations.length === 0) return <p class="muted">Connections as such: no routes.</p>;
  const shown = operations.slice(0, isAll ? SHOWN_MAX : SHOWN_FIRST);
  return (
    <>
      <ul class="operations">
        {shown.map(({ method, path, contentType }) => (
          <li key={`${method} ${path} ${contentType}`}>
            <b>{method}</b> {path} <span class="muted">{contentType}</span>
          </li>
        ))}
      </ul>
      {operations.length > SHOWN_FIRST && (
        <p>
          <button type="button" aria-expanded={isAll} onClick={() => setAll(!isAll)}>
            {isAll ? "Show fewer" : `Show all ${count(operations.length)}`}
          </button>
          {isAll && operations.length > SHOWN_MAX &&
            ` The first ${SHOWN_MAX} are shown: netwall-gateway policy export has them all.`}
        </p>
      )}
    </>
  );
}
