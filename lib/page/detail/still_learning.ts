/**
 * Where a group that is watched in one direction still takes for normal whatever comes in another.
 *
 * A direction without traffic learns on until the whole group has been quiet for long enough, and for ever when its mode
 * was set to learn by hand: until then its first stranger is learned.
 *
 * @module
 */
import type { Direction, GroupView } from "../core/types.ts";

export const DIRECTIONS: readonly Direction[] = ["north-south", "east-west", "egress"];

/** Directions in the mode learn; none while all of them are, as the group is being learned then. */
export function stillLearning({ modes }: Pick<GroupView, "modes">): Direction[] {
  const open = DIRECTIONS.filter((direction) => modes[direction].mode === "learn");
  return open.length === DIRECTIONS.length ? [] : open;
}
