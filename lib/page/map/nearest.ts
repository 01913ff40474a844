/**
 * Where an arrow key leads from a node of the map.
 *
 * @module
 */
import { type Box, middleOf } from "./boxes.ts";

export type Arrow = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown";

const STEPS: Readonly<Record<Arrow, { readonly x: number; readonly y: number }>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** What lies to the side counts so much more than what lies ahead. */
const ASIDE_WEIGHT = 2.5;

export function isArrow(key: string): key is Arrow {
  return Object.hasOwn(STEPS, key);
}

/** @returns The id of the nearest node that way, or `undefined` when there is none. */
export function nearest(nodes: ReadonlyMap<string, Box>, from: string, arrow: Arrow): string | undefined {
  const start = nodes.get(from);
  if (start === undefined) return undefined;
  const [origin, step] = [middleOf(start), STEPS[arrow]];
  let best: string | undefined;
  let least = Infinity;
  for (const [id, box] of nodes) {
    const { x, y } = middleOf(box);
    const ahead = (x - origin.x) * step.x + (y - origin.y) * step.y;
    const aside = Math.abs((x - origin.x) * step.y + (y - origin.y) * step.x);
    // Half a node ahead at least: what lies beside it is no step that way.
    if (id === from || ahead < 8) continue;
    const far = ahead + aside * ASIDE_WEIGHT;
    if (far < least) [best, least] = [id, far];
  }
  return best;
}
