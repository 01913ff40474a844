/**
 * Which mode a group has: the most specific entry of the policy, else its default.
 *
 * @module
 */
import { FIRST_MODE, type PolicyDocument, type PolicyMode } from "./document.ts";
import { type Direction, DIRECTIONS, type Group } from "./flow.ts";
import { type Mode, stricter } from "./mode.ts";

/** Who set a mode: a person, the evidence, or nobody. */
export type ModeOrigin = PolicyMode["origin"] | "default";

/** The mode of one group in one direction. */
export interface GroupMode {
  readonly mode: Mode;
  readonly origin: ModeOrigin;
}

/** Groups whose modes are kept at hand. Groups come from tokens, so there are rarely more; then it begins anew. */
const GROUPS_KEPT_MAX = 16_384;

/** The modes of a policy. */
export class ModeTable {
  readonly #manual = new Map<string, GroupMode>();
  /** Of the evidence: it moves only what nobody has set. */
  readonly #promoted = new Map<string, GroupMode>();
  readonly #default: GroupMode;
  readonly #byGroup = new Map<string, Readonly<Record<Direction, GroupMode>>>();

  /** @param spec Of two entries for the same, the first holds. */
  constructor(spec: PolicyDocument["spec"]) {
    this.#default = { mode: spec.defaultMode ?? FIRST_MODE, origin: "default" };
    for (const { namespace, image, direction, mode, origin } of spec.modes) {
      const key = keyOf(namespace, image, direction);
      const table = origin === "manual" ? this.#manual : this.#promoted;
      // What is promoted is never milder than what holds for all: only a group that learns anew is.
      const held = origin === "manual" || mode === "learn" ? mode : stricter(mode, this.#default.mode);
      if (!table.has(key)) table.set(key, { mode: held, origin });
    }
  }

  /**
   * The modes of a group.
   *
   * Whatever somebody has set comes before what was promoted. An entry for image and namespace comes before one for the
   * image, that before one for the namespace, and that before one for all; of two that are equal in this, the one with a
   * direction comes first.
   */
  of(group: Group): Readonly<Record<Direction, GroupMode>> {
    let modes = this.#byGroup.get(group.id);
    if (modes === undefined) {
      if (this.#byGroup.size >= GROUPS_KEPT_MAX) this.#byGroup.clear();
      modes = Object.fromEntries(
        DIRECTIONS.map((direction) => [direction, this.#find(group, direction)]),
      ) as unknown as Record<Direction, GroupMode>;
      this.#byGroup.set(group.id, modes);
    }
    return modes;
  }

  /** The mode of what has no group. */
  get default(): GroupMode {
    return this.#default;
  }

  #find({ namespace, image }: Group, direction: Direction): GroupMode {
    for (const table of [this.#manual, this.#promoted]) {
      for (const subject of [[namespace, image], [undefined, image], [namespace], []]) {
        for (const by of [direction, undefined]) {
          const found = table.get(keyOf(subject[0], subject[1], by));
          if (found !== undefined) return found;
        }
      }
    }
    return this.#default;
  }
}

/** The image is last: it alone may hold the separator. */
function keyOf(
  namespace: string | undefined,
  image: string | undefined,
  direction: Direction | undefined,
): string {
  return `${direction ?? ""}|${namespace ?? ""}|${image ?? ""}`;
}
