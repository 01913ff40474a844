/**
 * Groups as operators see them: who is in them, their modes, and how far their models are.
 *
 * @module
 */
import type { GroupView } from "../admin/control.ts";
import type { CompiledPolicy } from "../policy/engine.ts";
import { type Direction, type Group, parseGroupId } from "../policy/flow.ts";
import type { Mode } from "../policy/mode.ts";
import type { LearningProgress } from "../policy/promotion.ts";
import type { EdgeRecord } from "../policy/record.ts";
import type { Attachment } from "../routing/registry.ts";

/** Every group that is linked, was seen on an edge, or has a model; by its id. */
export function groupViews(
  links: readonly Attachment[],
  edges: Iterable<Pick<EdgeRecord, "source" | "destination" | "service">>,
  progress: ReadonlyMap<string, readonly LearningProgress[]>,
  policy: CompiledPolicy,
): GroupView[] {
  const views = new Map<string, { group: Group; services: Set<string>; agents: Set<string> }>();
  const view = (group: Group): { services: Set<string>; agents: Set<string> } => {
    const known = views.get(group.id);
    if (known !== undefined) return known;
    const made = { group, services: new Set<string>(), agents: new Set<string>() };
    views.set(group.id, made);
    return made;
  };
  for (const { group, services, agent } of links) {
    view(group).agents.add(agent);
    for (const service of services) view(group).services.add(service);
  }
  for (const { source, destination, service } of edges) {
    const from = parseGroupId(source);
    const to = parseGroupId(destination);
    if (from !== undefined) view(from);
    if (to !== undefined) view(to).services.add(service);
  }
  for (const id of progress.keys()) {
    const group = parseGroupId(id);
    if (group !== undefined) view(group);
  }
  return [...views.values()].map(({ group, services, agents }) => {
    const modes = policy.modesOfGroup(group);
    return {
      ...{ id: group.id, namespace: group.namespace, image: group.image, modes },
      services: [...services].sort(),
      agents: [...agents].sort(),
      // What it is judged by is no proposal any more; what a person holds back says so.
      learning: (progress.get(group.id) ?? []).map((each) => inForce(each, modes[each.direction])),
    };
  }).sort((a, b) => a.id < b.id ? -1 : 1);
}

function inForce(
  progress: LearningProgress,
  { mode, origin }: { mode: Mode; origin: string },
): LearningProgress {
  if (progress.state !== "stable") return progress;
  if (mode !== "learn") return { ...progress, state: "active" };
  if (origin !== "manual") return progress;
  return { ...progress, reasons: ["stays in learn, as that was set by hand", ...progress.reasons] };
}

/** What whoever sets a mode should know: that nobody is in the group, or that its model is not ready for it. */
export function modeWarnings(
  groups: readonly GroupView[],
  id: string,
  mode: Mode | "default",
  direction: Direction | undefined,
): string[] {
  const group = groups.find((each) => each.id === id);
  if (group === undefined) {
    return [`no agent of ${id} was seen yet: netwall-gateway groups lists those that were`];
  }
  if (mode !== "prevent") return [];
  const open = group.learning.filter((each) =>
    (direction === undefined || direction === each.direction) && each.state !== "active" && each.edges > 0
  );
  const then = "what it has not seen is refused from now on; policy rollback goes back";
  if (group.learning.length === 0) return [`nothing was learned of ${id}: ${then}`];
  return open.map((each) => `the model of ${id} (${each.direction}) is not stable yet: ${then}`);
}
