/**
 * Says in words how a flow differs from the learned model. Only what deviates comes here, so it may take its time.
 *
 * @module
 */
import type { Deviation, HttpRequestFacts } from "./flow.ts";
import { type EdgeEnds, edgeText, farEndText, type ModelEdges } from "./model_edges.ts";
import { operationText } from "./model_text.ts";
import { templateOf } from "./route_node.ts";
import type { Asked, RouteTree } from "./route_tree.ts";
import { maskedPath } from "./segment.ts";

/** What an observed text is cut to. */
const OBSERVED_CHARS_MAX = 256;
/** What one known thing is cut to, and how many of them are named. */
const EXAMPLE_CHARS_MAX = 100;
const EXAMPLES_MAX = 3;
/** More than these are not counted: a scan asks for this with every request. */
const MORE_COUNTED_MAX = 20;

/** What a deviation is in words. */
type Words = Pick<Deviation, "observed" | "expected">;

/** The words are made when somebody reads them: most of what deviates is learned from, and nobody does. */
class WordedDeviation implements Deviation {
  #make: (() => Words) | undefined;
  #words: Words | undefined;

  constructor(readonly kind: Deviation["kind"], make: () => Words) {
    this.#make = make;
  }

  get observed(): string {
    return this.#read().observed;
  }

  get expected(): string {
    return this.#read().expected;
  }

  #read(): Words {
    const words = this.#words ??= this.#make!();
    this.#make = undefined;
    return words;
  }
}

/** For ends that have no edge. */
export function edgeDeviation(edges: ModelEdges, ends: EdgeEnds): Deviation {
  return new WordedDeviation("edge", () => edgeWords(edges, ends));
}

function edgeWords(edges: ModelEdges, ends: EdgeEnds): Words {
  // Visitors are few names before many services: what is known of the service says more than what is known of them.
  const isInbound = ends.direction === "north-south";
  const scope = edges.scope(isInbound ? ends.destination : ends.source, ends.direction);
  const texts: string[] = [];
  let more = 0;
  for (const edge of scope?.edges ?? []) {
    if (!isInbound && edge.ends.source !== ends.source) continue;
    if (texts.length < EXAMPLES_MAX) texts.push(isInbound ? edgeText(edge.ends) : farEndText(edge.ends));
    else if (++more === MORE_COUNTED_MAX) break;
  }
  return { observed: cut(edgeText(ends)), expected: someOf(texts, texts.length + more) };
}

/** For a request that the tree of its edge does not cover. @param asked `undefined` when its path cannot be read. */
export function treeDeviation(
  tree: RouteTree,
  asked: Asked | undefined,
  http: HttpRequestFacts | undefined,
): Deviation {
  const route = asked === undefined ? undefined : tree.route(asked);
  if (asked === undefined || route === undefined) {
    const texts = function* (): Generator<string> {
      for (const [node, operation] of tree.operations()) yield operationText(node, operation);
    };
    return new WordedDeviation("route", () => ({
      observed: http === undefined ? "no request" : cut(maskedPath(http.path)),
      expected: someOf(texts(), tree.operationCount),
    }));
  }
  const types = route.methods!.get(asked.method);
  if (types === undefined) {
    return new WordedDeviation("method", () => ({
      observed: cut(`${asked.method} ${templateOf(route)}`),
      expected: someOf(route.methods!.keys(), route.methods!.size),
    }));
  }
  return new WordedDeviation("contentType", () => {
    const known = [...types.keys()].map((it) => it === "" ? "none" : it);
    return {
      observed: cut(asked.contentType === "" ? "none" : asked.contentType),
      expected: someOf(known, known.length),
    };
  });
}

function cut(text: string): string {
  return text.length > OBSERVED_CHARS_MAX ? `${text.slice(0, OBSERVED_CHARS_MAX)}…` : text;
}

/** Some of what is known, in words: "GET /a, POST /b and 7 more". */
function someOf(texts: Iterable<string>, total: number): string {
  const shown: string[] = [];
  for (const text of texts) {
    if (shown.length === EXAMPLES_MAX) break;
    shown.push(text.length > EXAMPLE_CHARS_MAX ? `${text.slice(0, EXAMPLE_CHARS_MAX)}…` : text);
  }
  if (shown.length === 0) return "nothing";
  const more = total - shown.length;
  return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
