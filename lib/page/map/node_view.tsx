/**
 * What stands on the map: workloads, collapsed namespaces, sources and hosts outside. Each is a button with its words.
 *
 * @module
 */
import { Component, type JSX } from "preact";
import { duration, plural } from "../core/format.ts";
import { visible } from "../core/visible.ts";
import type { Box } from "./boxes.ts";
import type { LearningState, WallState, WorkloadFacts } from "./facts.ts";
import { STATE_WORDS } from "./line.ts";
import { type MapNode, type NamespaceNode, nodeWords, type OutsideNode } from "./node.ts";

export interface NodeViewProps {
  readonly node: MapNode;
  readonly box: Box;
  readonly isChosen: boolean;
}

/** Letters that fit on a node; of a long name the end is what tells it from others. */
const NAME_CHARS_MAX = 22;
const OUTSIDE_CHARS_MAX = 20;

/** After each text: what is read out as the name of a node is all of them together. */
export const SPACE = " ";

const WALL_SIGNS: Readonly<Record<WallState, string>> = { whole: "✓", broken: "✕", unknown: "?" };
const LEARNING_WORDS: Readonly<Record<LearningState, string>> = {
  none: "nothing seen yet",
  learning: "learning",
  stable: "model stable",
  active: "model active",
  saturated: "model overfull",
};

export class NodeView extends Component<NodeViewProps> {
  override shouldComponentUpdate({ node, box, isChosen }: NodeViewProps): boolean {
    const now = this.props;
    return box !== now.box || isChosen !== now.isChosen || seenOf(node) !== seenOf(now.node);
  }

  override render({ node, box, isChosen }: NodeViewProps): JSX.Element {
    const { x, y, width, height } = box;
    return (
      <g
        class={`node is-${node.kind}${isChosen ? " is-chosen" : ""}${stateClass(node)}`}
        transform={`translate(${x},${y})`}
        data-node={node.id}
        tabindex={-1}
        role="button"
        aria-description={nodeWords(node).replaceAll("\n", ", ")}
      >
        {node.kind === "namespace" && (
          <rect class="node-stack" x="5" y="5" width={width} height={height} rx="7" />
        )}
        <rect
          class="node-card"
          width={width}
          height={height}
          rx={node.kind === "workload" ? 7 : height / 4}
        />
        <Content node={node} box={box} />
      </g>
    );
  }
}

/** What is seen from afar too: gone, or with a broken wall. */
function stateClass(node: MapNode): string {
  if (node.kind === "namespace") return node.broken > 0 ? " is-open" : "";
  if (node.kind !== "workload") return "";
  return `${node.facts.agents === 0 ? " is-gone" : ""}${node.facts.wall === "broken" ? " is-open" : ""}`;
}

/** Everything of a node that is drawn. */
function seenOf(node: MapNode): string {
  if (node.kind !== "workload") return `${node.kind === "namespace" ? "" : node.name}\n${nodeWords(node)}`;
  return `${node.facts.words}\n${node.facts.streams > 0}`;
}

function Content({ node, box }: { readonly node: MapNode; readonly box: Box }): JSX.Element {
  if (node.kind === "workload") return <Workload facts={node.facts} width={box.width} />;
  if (node.kind === "namespace") return <Namespace node={node} width={box.width} />;
  return <Outside node={node} box={box} />;
}

function Workload({ facts, width }: { readonly facts: WorkloadFacts; readonly width: number }): JSX.Element {
  const { image, mode, isMixed, learning, wants, wall, agents, roundTripMs } = facts;
  const open = wants > 0 && learning === "learning" ? `, ${wants} left` : "";
  const links = roundTripMs === undefined ? "gone" : `${plural(agents, "agent")}, ${duration(roundTripMs)}`;
  return (
    <>
      <text class="node-name" x="10" y="20">{ending(visible(image), NAME_CHARS_MAX)}{SPACE}</text>
      <ModeChip mode={mode} isMixed={isMixed} />
      <text class={`node-small learning-${learning}`} x="86" y="39">
        {LEARNING_WORDS[learning]}
        {open}
        {SPACE}
      </text>
      <text class={`node-small wall-${wall}`} x="10" y="57">wall {WALL_SIGNS[wall]} {wall}{SPACE}</text>
      <text class="node-small" x={width - 10} y="57" text-anchor="end">{links}</text>
    </>
  );
}

function ModeChip({ mode, isMixed }: Pick<WorkloadFacts, "mode" | "isMixed">): JSX.Element {
  return (
    <g class={`mode mode-${mode ?? "unknown"}`} transform="translate(10,27)">
      <rect width="68" height="17" rx="8.5" />
      <text x="34" y="12.5" text-anchor="middle">{mode ?? "mode ?"}{isMixed ? " …" : ""}{SPACE}</text>
    </g>
  );
}

function Namespace({ node, width }: { readonly node: NamespaceNode; readonly width: number }): JSX.Element {
  const { namespace, workloads, agents, broken, mode, isMixed, inside } = node;
  return (
    <>
      <text class="node-name" x="10" y="20">
        {ending(visible(namespace) || "(no namespace)", NAME_CHARS_MAX)}
        {SPACE}
      </text>
      <ModeChip mode={mode} isMixed={isMixed} />
      <text class="node-small" x="86" y="39">{plural(workloads, "workload")}{SPACE}</text>
      <text class={`node-small ${broken > 0 ? "wall-broken" : ""}`} x="10" y="57">
        {broken > 0 ? `✕ ${plural(broken, "broken wall")}` : plural(agents, "agent")}
        {SPACE}
      </text>
      {inside !== undefined && (
        <text class={`node-small within-${inside}`} x={width - 10} y="57" text-anchor="end">
          within: {STATE_WORDS[inside].name}
        </text>
      )}
      <text class="node-open" x={width - 16} y="22" text-anchor="middle" aria-hidden="true">+</text>
    </>
  );
}

function Outside({ node, box }: { readonly node: OutsideNode; readonly box: Box }): JSX.Element {
  return (
    <text class="node-outside" x={box.width / 2} y={box.height / 2 + 4.5} text-anchor="middle">
      {ending(visible(node.name), OUTSIDE_CHARS_MAX)}
    </text>
  );
}

/** The end of a text that is too long. */
function ending(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `…${text.slice(1 - charsMax)}`;
}
