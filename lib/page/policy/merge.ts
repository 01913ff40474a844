/**
 * Puts the changes of one document on top of another that came in between: for a draft that was overtaken, and for taking
 * back what others have built upon.
 *
 * Each thing is taken by its name. Where both have changed the same, mine is taken, and told: the difference that is
 * shown before anything is applied says the rest.
 *
 * @module
 */
import type { PolicyDocument } from "../core/types.ts";
import { byName, modeName, same } from "./differences.ts";
import { movedKeys } from "./order.ts";

export interface Merged {
  readonly document: PolicyDocument;
  /** Where both have changed the same; a sentence each. */
  readonly conflicts: readonly string[];
}

/**
 * @param base What mine was made from. @param mine With my changes. @param theirs What holds now, with others' changes.
 */
export function mergeOnto(base: PolicyDocument, mine: PolicyDocument, theirs: PolicyDocument): Merged {
  const conflicts: string[] = [];
  const [b, m, t] = [base.spec, mine.spec, theirs.spec];
  const note = (text: string): void => {
    conflicts.push(text);
  };
  const networks = mergeItems(
    new Map(Object.entries(b.networks)),
    new Map(Object.entries(m.networks)),
    new Map(Object.entries(t.networks)),
    (name, what) => note(`Network ${name}: ${what}`),
  );
  const listOf = <T>(
    [was, is, now]: readonly [readonly T[], readonly T[], readonly T[]],
    nameOf: (item: T) => string,
    word: string,
  ): T[] => [
    ...mergeItems(
      byName(was, nameOf),
      byName(is, nameOf),
      byName(now, nameOf),
      (name, what) => note(`${word} ${name}: ${what}`),
    ).values(),
  ];
  const spec = {
    ...t,
    networks: Object.fromEntries(networks),
    modes: listOf([b.modes, m.modes, t.modes], modeName, "Mode"),
    rules: listOf([b.rules, m.rules, t.rules], ({ id }) => id, "Rule"),
    rateLimits: listOf([b.rateLimits, m.rateLimits, t.rateLimits], ({ id }) => id, "Rate limit"),
  };
  if (m.defaultMode !== undefined && m.defaultMode !== b.defaultMode) {
    if (t.defaultMode !== b.defaultMode && t.defaultMode !== m.defaultMode) {
      note(`Default mode: both have changed it, ${m.defaultMode} is taken`);
    }
    spec.defaultMode = m.defaultMode;
  }
  const metadata = same(mine.metadata, base.metadata) ? theirs.metadata : mine.metadata;
  return { document: { ...theirs, metadata, spec }, conflicts };
}

/** Merges what has names and an order. */
function mergeItems<T>(
  base: ReadonlyMap<string, T>,
  mine: ReadonlyMap<string, T>,
  theirs: ReadonlyMap<string, T>,
  note: (name: string, what: string) => void,
): Map<string, T> {
  const items = new Map(theirs);
  let order = [...theirs.keys()];
  for (const name of base.keys()) {
    if (mine.has(name) || !items.has(name)) continue;
    if (!same(items.get(name), base.get(name))) {
      note(name, "it was changed, and you have removed it: it is removed");
    }
    items.delete(name);
    order = order.filter((each) => each !== name);
  }
  const moved = movedKeys(base.keys(), mine.keys());
  const myOrder = [...mine.keys()];
  myOrder.forEach((name, place) => {
    const item = mine.get(name)!;
    const isNew = !base.has(name);
    const isMine = isNew || !same(item, base.get(name));
    if (!isMine && !moved.has(name)) return;
    const isThere = items.has(name);
    if (!isThere && !isNew) {
      // One that was only moved by me, and is gone, is gone.
      if (!isMine) return;
      note(name, "it was removed, and you have changed it: it is put back");
    }
    if (isMine && isThere && !same(items.get(name), item)) {
      if (isNew) {
        note(name, "both have made one of this name, yours is taken");
        items.set(name, item);
      } else items.set(name, mergeItem(base.get(name)!, item, items.get(name)!, (what) => note(name, what)));
    } else if (isMine) items.set(name, item);
    if (isThere && !moved.has(name)) return;
    order = placed(order.filter((each) => each !== name), name, myOrder.slice(0, place));
  });
  return new Map(order.map((name) => [name, items.get(name)!]));
}

/** One thing that is in all three: what I have not changed of it is theirs. */
function mergeItem<T>(base: T, mine: T, theirs: T, note: (what: string) => void): T {
  if ([base, mine, theirs].some((item) => typeof item !== "object" || Array.isArray(item))) {
    if (!same(theirs, base)) note("both have changed it, yours is taken");
    return mine;
  }
  const [b, m, t] = [base, mine, theirs] as Record<string, unknown>[];
  const merged: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(t!), ...Object.keys(m!)])) {
    const isMine = !same(m![key], b![key]);
    if (isMine && !same(t![key], b![key]) && !same(t![key], m![key])) {
      note(`both have changed its ${key}, yours is taken`);
    }
    const value = isMine ? m![key] : t![key];
    if (value !== undefined) merged[key] = value;
  }
  return merged as T;
}

/** Puts a name behind the nearest of those that stood before it. */
function placed(order: readonly string[], name: string, before: readonly string[]): string[] {
  const there = new Set(order);
  const behind = before.findLast((each) => there.has(each));
  return order.toSpliced(behind === undefined ? 0 : order.indexOf(behind) + 1, 0, name);
}
