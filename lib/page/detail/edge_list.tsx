/**
 * Edges in a list: each opens its own panel.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { setParams } from "../core/router.ts";
import { count } from "../core/format.ts";
import type { EdgeRecord } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";

const SHOWN_FIRST = 8;
const SHOWN_MAX = 200;

export interface EdgeListProps {
  readonly edges: readonly EdgeRecord[];
  /** The far end. */
  readonly nameOf: (edge: EdgeRecord) => string;
}

export function EdgeList({ edges, nameOf }: EdgeListProps): JSX.Element {
  const [isAll, setAll] = useState(false);
  return (
    <>
      <ul class="edge-list">
        {edges.slice(0, isAll ? SHOWN_MAX : SHOWN_FIRST).map((edge) => (
          <li key={edge.id}>
            <button
              type="button"
              class="link-like"
              onClick={() => setParams({ edge: edge.id, group: undefined }, "push")}
            >
              {visible(nameOf(edge))}
            </button>{" "}
            <Badge word={edge.state} /> <span class="muted">{count(edge.count)}×</span>
          </li>
        ))}
      </ul>
      {edges.length > SHOWN_FIRST && (
        <button
          type="button"
          aria-expanded={isAll}
          onClick={() => setAll(!isAll)}
        >
          {isAll ? "Show fewer" : `Show all ${count(edges.length)}`}
        </button>
      )}
      {isAll && edges.length > SHOWN_MAX && <p class="muted">The first {SHOWN_MAX} are shown.</p>}
    </>
  );
}
