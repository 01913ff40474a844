/**
 * How far the groups of a learned model have come, direction by direction.
 *
 * @module
 */
import { DIRECTIONS } from "./flow.ts";
import { type EdgeLimits, type ModelEdges, type Scope, singletonsOf } from "./model_edges.ts";
import { type LearningProgress, type PromotionGate, weigh, weighSilence } from "./promotion.ts";

/** As many services are named when a group is overfull. */
const OVERFULL_REASONS_MAX = 5;

/**
 * By the id of the group: first the directions that it has edges in, then those that are silent.
 *
 * A model without room says nothing of silence: what came may have found no place in it.
 */
export function progressOf(
  model: ModelEdges,
  gate: PromotionGate & Pick<EdgeLimits, "edgesMax">,
  nowMs: number,
): Map<string, LearningProgress[]> {
  const found = new Map<string, LearningProgress[]>();
  for (const scope of model.scopes()) {
    if (scope.edges.size === 0) continue;
    const list = found.get(scope.group) ?? [];
    list.push(ofScope(scope, gate, nowMs));
    found.set(scope.group, list);
  }
  if (model.size >= gate.edgesMax) return found;
  for (const [group, list] of found) list.push(...silentOnes(model, group, list, gate, nowMs));
  return found;
}

function silentOnes(
  model: ModelEdges,
  group: string,
  others: readonly LearningProgress[],
  gate: PromotionGate,
  nowMs: number,
): LearningProgress[] {
  return DIRECTIONS.filter((direction) => others.every((other) => other.direction !== direction))
    .flatMap((direction) => {
      const forgottenMs = model.scope(group, direction)?.forgottenMs ?? 0;
      return weighSilence({ direction, forgottenMs }, others, gate, nowMs) ?? [];
    });
}

function ofScope({ direction, edges, full }: Scope, gate: PromotionGate, nowMs: number): LearningProgress {
  const overfull = full === undefined ? [] : [`overfull: it has ${full}`];
  const evidence = { sinceMs: 0, samples: 0, singletons: 0, lastNewMs: 0, routes: 0, refused: 0 };
  for (const edge of edges) {
    evidence.routes += edge.tree?.routes ?? 0;
    evidence.refused += edge.refused;
    const reason = edge.tree?.full;
    if (reason !== undefined && overfull.length < OVERFULL_REASONS_MAX) {
      overfull.push(`overfull: ${edge.ends.service} has ${reason} from ${edge.ends.source}`);
    }
    if (edge.samples === 0) continue;
    evidence.samples += edge.samples;
    evidence.singletons += singletonsOf(edge);
    evidence.sinceMs = evidence.sinceMs === 0 ? edge.sinceMs : Math.min(evidence.sinceMs, edge.sinceMs);
    evidence.lastNewMs = Math.max(evidence.lastNewMs, edge.lastNewMs);
  }
  return weigh({ direction, edges: edges.size, overfull, ...evidence }, gate, nowMs);
}
