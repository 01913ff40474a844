/**
 * The learned model as text: as edges of a policy document, and as the state that a gateway goes on from.
 *
 * @module
 */
import { z } from "zod";
import { type ModelEdge, modelEdgeSchema } from "./document.ts";
import { type EdgeEnds, edgeText, type LearnedEdge, ModelEdges, newEdge } from "./model_edges.ts";
import { NOBODY, type Operation, type RouteNode, templateOf } from "./route_node.ts";
import type { Asked } from "./route_tree.ts";
import { isPlaceholder, joinSegments, readPath } from "./segment.ts";

const SNAPSHOT_VERSION = 1;
/** The longest state that is read. */
export const SNAPSHOT_CHARS_MAX = 256 << 20;

/**
 * A model cannot be read. `malformed`: it is no model. `newer`: made by a later release. Nothing was changed.
 */
export class ModelError extends Error {
  override name = "ModelError";
  constructor(message: string, readonly code: "malformed" | "newer", options?: ErrorOptions) {
    super(message, options);
  }
}

const count = z.int().min(0);
const moment = z.number().min(0);
const snapshotSchema = z.strictObject({
  version: z.literal(SNAPSHOT_VERSION),
  edges: z.array(z.strictObject({
    edge: modelEdgeSchema,
    samples: count,
    sinceMs: moment,
    lastNewMs: moment,
    refused: count,
    full: z.string().max(200).optional(),
    /** For each operation of the edge: its count, the key of its owner, and 1 when that is a visitor. */
    seen: z.array(z.tuple([count, z.string().max(64), z.literal([0, 1])])).optional(),
  })),
  full: z.array(z.strictObject({
    group: z.string().max(1024),
    direction: z.enum(["north-south", "east-west", "egress"]),
    full: z.string().max(200),
  })),
  /** Directions of groups that were emptied as others learn anew. */
  forgotten: z.array(z.strictObject({
    group: z.string().max(1024),
    direction: z.enum(["north-south", "east-west", "egress"]),
    forgottenMs: moment,
  })).optional(),
});

/** An operation such as `GET /users/{int}` or `POST /users application/json`. */
export function operationText(node: RouteNode, { method, contentType }: Operation): string {
  return `${method} ${templateOf(node)}${contentType === "" ? "" : ` ${contentType}`}`;
}

/** The edge as a document has it, and its operations in the same order. */
function written(edge: LearnedEdge): { edge: ModelEdge; operations: Operation[] } {
  const { direction, source, destination, service, host, port, protocol } = edge.ends;
  const pairs = edge.tree === undefined
    ? []
    : [...edge.tree.operations()].map(([node, operation]) =>
      [operationText(node, operation), operation] as const
    );
  pairs.sort(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
  const ends = destination === "" ? { host, port } : { destination, service };
  const operations = edge.tree === undefined ? {} : { operations: pairs.map(([text]) => text) };
  return {
    edge: { direction, source, ...ends, protocol, ...operations, origin: edge.origin },
    operations: pairs.map(([, operation]) => operation),
  };
}

/**
 * Edges in a fixed order, so that two exports of one model are the same text.
 *
 * @param isWanted Which. @default all
 */
export function writeEdges(
  edges: ModelEdges,
  isWanted: (ends: EdgeEnds) => boolean = () => true,
): ModelEdge[] {
  return [...edges.all()].filter(({ ends }) => isWanted(ends)).sort((a, b) => a.key < b.key ? -1 : 1).map((
    it,
  ) => written(it).edge);
}

/**
 * Makes a model from edges. Edges with the same ends are one.
 *
 * @throws {ModelError} `malformed`: an operation cannot be read, or one stands where none can be judged.
 */
export function readEdges(edges: readonly ModelEdge[]): ModelEdges {
  const model = new ModelEdges();
  for (const edge of edges) putEdge(model, edge, undefined);
  return model;
}

type Seen = readonly [count: number, owner: string, isVisitor: 0 | 1];

function putEdge(model: ModelEdges, edge: ModelEdge, seen: readonly Seen[] | undefined): LearnedEdge {
  const ends: EdgeEnds = {
    direction: edge.direction,
    source: edge.source,
    destination: edge.host === undefined ? edge.destination ?? "" : "",
    service: edge.service ?? "",
    host: edge.host ?? "",
    port: edge.port ?? 0,
    protocol: edge.protocol,
  };
  const made = newEdge(ends, edge.origin);
  const known = model.find(ends);
  const target = known !== undefined && known.key === made.key ? known : made;
  // Taken out while it grows, so that its size is counted once.
  if (target === known) model.remove(known);
  const operations = edge.operations ?? [];
  if (target.tree === undefined && operations.length > 0) {
    throw new ModelError(
      `Reading the model: the edge ${
        edgeText(ends)
      } has operations, but only services of HTTP are learned by them: ` +
        "leave them out, or write a rule with http conditions",
      "malformed",
    );
  }
  operations.forEach((text, index) => {
    const [times, key, isVisitor] = seen?.[index] ?? [0, "", 0];
    const owner = key === "" ? NOBODY : { key, isVisitor: isVisitor === 1 };
    const { segments, method, contentType } = readOperation(text, ends);
    target.tree!.restore(segments, { method, contentType, count: times, owner });
  });
  model.put(target);
  return target;
}

function readOperation(text: string, ends: EdgeEnds): Asked {
  const [method = "", path = "", contentType = "", ...more] = text.split(" ");
  const segments = readTemplate(path);
  const isRead = more.length === 0 && /^[\x21-\x7e]+$/.test(method) && /^[\x21-\x7e]*$/.test(contentType);
  if (segments === undefined || !isRead || (contentType === "" && text.endsWith(" "))) {
    throw new ModelError(
      `Reading the model: an operation of the edge ${edgeText(ends)} is none: ` +
        "write METHOD PATH or METHOD PATH CONTENT-TYPE, such as GET /users/{int}",
      "malformed",
    );
  }
  return { segments, method, contentType };
}

/** A template in its segments; words are spelled as those of paths are. */
function readTemplate(template: string): string[] | undefined {
  if (!template.startsWith("/")) return undefined;
  const raw = template.slice(1).split("/");
  if (raw.some((it) => /[{}]/.test(it) && !isPlaceholder(it))) return undefined;
  // A placeholder may be longer than every value that it stands for, and the bound is one of paths.
  const segments = readPath(joinSegments(raw.map((it) => isPlaceholder(it) ? "0" : it)));
  return segments?.map((it, index) => isPlaceholder(raw[index]!) ? raw[index]! : it);
}

/** The whole state, with what was counted. */
export function writeSnapshot(edges: ModelEdges): string {
  const full = [...edges.scopes()].filter((it) => it.full !== undefined)
    .map(({ group, direction, full }) => ({ group, direction, full }));
  const forgotten = [...edges.scopes()].filter((it) => it.edges.size === 0 && it.forgottenMs > 0)
    .map(({ group, direction, forgottenMs }) => ({ group, direction, forgottenMs }));
  const items = [...edges.all()].map((it) => {
    const { edge, operations } = written(it);
    const { samples, sinceMs, lastNewMs, refused, tree } = it;
    const seen = operations.map(({ count, owner }) => [count, owner.key, owner.isVisitor ? 1 : 0]);
    return {
      edge,
      samples,
      sinceMs,
      lastNewMs,
      refused,
      ...(tree?.full === undefined ? {} : { full: tree.full }),
      ...(tree === undefined ? {} : { seen }),
    };
  });
  const emptied = forgotten.length === 0 ? {} : { forgotten };
  return JSON.stringify({ version: SNAPSHOT_VERSION, edges: items, full, ...emptied });
}

/**
 * Reads what `writeSnapshot` wrote.
 *
 * @throws {ModelError} `malformed` or `newer`.
 */
export function readSnapshot(text: string): ModelEdges {
  if (text.length > SNAPSHOT_CHARS_MAX) {
    throw new ModelError("Reading the stored model: it is larger than any that is written", "malformed");
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new ModelError(
      "Reading the stored model: it is no JSON, as after a crash or an edit",
      "malformed",
      {
        cause: error,
      },
    );
  }
  const version = z.object({ version: z.int() }).safeParse(json).data?.version;
  if (version !== undefined && version > SNAPSHOT_VERSION) {
    throw new ModelError(
      `Reading the stored model: it has the format ${version}, this release reads ${SNAPSHOT_VERSION}: ` +
        "start the release that wrote it",
      "newer",
    );
  }
  const read = snapshotSchema.safeParse(json);
  if (!read.success) {
    throw new ModelError("Reading the stored model: it is not in the form that is written", "malformed", {
      cause: read.error,
    });
  }
  const model = new ModelEdges();
  for (const { edge, seen, full, ...counts } of read.data.edges) {
    const made = putEdge(model, edge, seen);
    Object.assign(made, counts);
    if (made.tree !== undefined) made.tree.full = full;
  }
  for (const { group, direction, full } of read.data.full) {
    const scope = model.scope(group, direction);
    if (scope !== undefined) scope.full = full;
  }
  for (const { group, direction, forgottenMs } of read.data.forgotten ?? []) {
    model.markForgotten(group, direction, forgottenMs);
  }
  return model;
}
