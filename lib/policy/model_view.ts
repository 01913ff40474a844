/**
 * What judging needs of the learned model.
 *
 * @module
 */
import type { Deviation, Flow } from "./flow.ts";

export interface ModelView {
  /**
   * What about the flow is not in the model; `undefined` when all of it is.
   *
   * @param sourceName The id of the source's group, or the name of its network.
   */
  check(flow: Flow, sourceName: string): Deviation | undefined;
}
