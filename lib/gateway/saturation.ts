/**
 * Tells when a model is overfull: it is never promoted then, so its group stays open until somebody sets its mode.
 *
 * One container that asks for enough different things makes it so while the model learns. That must not go unnoticed.
 *
 * @module
 */
import { parseGroupId } from "../policy/flow.ts";
import type { Learner } from "../policy/learner.ts";
import type { Firewall } from "./firewall.ts";

export class SaturationWatch {
  readonly #firewall: Firewall;
  readonly #learner: Pick<Learner, "progress">;
  /** Bounded by the model: groups and directions that are overfull. */
  #told = new Set<string>();

  constructor(firewall: Firewall, learner: Pick<Learner, "progress">) {
    this.#firewall = firewall;
    this.#learner = learner;
  }

  /** An event for each group and direction that is overfull since the last look, and still in the mode learn. */
  look(nowMs: number): void {
    const full = new Set<string>();
    for (const [id, each] of this.#learner.progress()) {
      const group = parseGroupId(id);
      if (group === undefined) continue;
      const modes = this.#firewall.policy.compiled.modesOfGroup(group);
      for (const { direction, state, reasons } of each) {
        if (state !== "saturated" || modes[direction].mode !== "learn") continue;
        const key = `${direction} ${id}`;
        full.add(key);
        if (this.#told.has(key)) continue;
        this.#firewall.notice({
          ...{
            time: nowMs,
            type: "modelSaturated",
            severity: "warning",
            effect: "alert",
            verdict: "audited",
          },
          ...{ rule: { kind: "learning" }, mode: "learn", direction },
          source: { kind: "workload", name: id, namespace: group.namespace, image: group.image },
          message:
            `The model of ${id} (${direction}) is ${reasons[0]}: it stays in the mode learn until its mode ` +
            "is set, or it learns anew",
        });
      }
    }
    this.#told = full;
  }
}
