/**
 * What stands on the map beside the wall: sources and hosts outside, workloads, and namespaces that are collapsed.
 *
 * @module
 */
import { plural } from "../core/format.ts";
import type { Mode } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { listed, strictest, type WorkloadFacts } from "./facts.ts";
import { type LineState, STATE_WORDS } from "./line.ts";

/** Outside: where visitors come from, or where workloads go to. */
export interface OutsideNode {
  readonly kind: "source" | "host";
  readonly id: string;
  readonly name: string;
  /** The names that it stands for; more than one when there are too many to be shown. */
  readonly names: readonly string[];
}

export interface WorkloadNode {
  readonly kind: "workload";
  readonly id: string;
  readonly namespace: string;
  readonly facts: WorkloadFacts;
}

/** A collapsed namespace: it stands for all of its workloads. */
export interface NamespaceNode {
  readonly kind: "namespace";
  readonly id: string;
  readonly namespace: string;
  readonly workloads: number;
  readonly agents: number;
  readonly broken: number;
  readonly mode: Mode | undefined;
  /** The modes of its workloads differ. */
  readonly isMixed: boolean;
  /** The worst of what goes on between its own workloads, and how many edges that is. */
  readonly inside: LineState | undefined;
  readonly insideEdges: number;
}

export type InnerNode = WorkloadNode | NamespaceNode;
export type MapNode = OutsideNode | InnerNode;

export const workloadId = (group: string): string => `group:${group}`;
export const sourceId = (network: string): string => `from:${network}`;
export const hostId = (host: string): string => `host:${host}`;
export const namespaceId = (namespace: string): string => `ns:${namespace}`;

/** The namespace of the workload with this id, or `undefined` when it is none. */
export function namespaceOf(id: string): string | undefined {
  if (!id.startsWith("group:")) return undefined;
  const at = id.indexOf("/");
  return at < 0 ? "" : id.slice("group:".length, at);
}

export function isOutside(node: MapNode): node is OutsideNode {
  return node.kind === "source" || node.kind === "host";
}

/** As it is told to people. */
export function nameOf(node: MapNode): string {
  if (isOutside(node)) return visible(node.name);
  if (node.kind === "workload") return visible(node.facts.group);
  return `namespace ${visible(node.namespace) || "without a name"}`;
}

/** A collapsed namespace of these workloads. */
export function namespaceNode(
  namespace: string,
  workloads: readonly WorkloadFacts[],
  inside: LineState | undefined,
  insideEdges: number,
): NamespaceNode {
  const modes = workloads.flatMap(({ mode }) => mode ?? []);
  return {
    kind: "namespace",
    id: namespaceId(namespace),
    namespace,
    workloads: workloads.length,
    agents: workloads.reduce((sum, { agents }) => sum + agents, 0),
    broken: workloads.filter(({ wall }) => wall === "broken").length,
    mode: strictest(modes),
    isMixed: new Set(modes).size > 1 || workloads.some(({ isMixed }) => isMixed),
    inside,
    insideEdges,
  };
}

/** What a node says, for its title and for screen readers; one thing a line of text. */
export function nodeWords(node: MapNode): string {
  if (node.kind === "workload") return node.facts.words;
  if (node.kind === "namespace") return namespaceWords(node);
  const what = node.kind === "source" ? "outside source" : "outside host";
  if (node.names.length === 1) return `${what} ${nameOf(node)}`;
  return `${plural(node.names.length, what)}: ${listed(node.names)}`;
}

function namespaceWords(node: NamespaceNode): string {
  const { workloads, agents, broken, mode, isMixed, inside, insideEdges } = node;
  return [
    `collapsed ${nameOf(node)}: ${plural(workloads, "workload")}, ${plural(agents, "agent")} linked`,
    mode === undefined ? "mode unknown" : isMixed ? `modes differ, the strictest is ${mode}` : `mode ${mode}`,
    ...(broken > 0 ? [`${plural(broken, "workload")} with a broken wall`] : []),
    ...(inside === undefined
      ? []
      : [`${plural(insideEdges, "edge")} within, at worst ${STATE_WORDS[inside].name}`]),
  ].join("\n");
}
