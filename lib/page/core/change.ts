/**
 * Changes of the policy that an operator makes by a button: what each makes of the document, and what takes it back.
 *
 * All of it is plain work on the document: the gateway tells what it would do (`simulate`), and is asked to apply it.
 *
 * @module
 */
import type {
  Direction,
  EdgeRecord,
  Mode,
  PolicyDocument,
  PolicyMode,
  PolicyRule,
  SimulationReport,
} from "./types.ts";

export interface Change {
  /** Such as `Allow user → user-db`. */
  readonly title: string;
  /** For the list of versions. */
  readonly comment: string;
  /** What it does, told before it is made. */
  readonly words?: string;
  /** What it is for, where that is one thing: what to say of streams that are open depends on it. */
  readonly effect?: PolicyRule["effect"];
  make(document: PolicyDocument): PolicyDocument;
  /** Takes it back, also when others have changed the policy since. */
  unmake(document: PolicyDocument): PolicyDocument;
}

/** The longest name of a rule: the schema of the policy has the same. */
const RULE_ID_CHARS_MAX = 63;

/** Puts a rule in front of all others. Its id must be free: see `freeId`. */
export function addRule(rule: PolicyRule, title: string): Change {
  return {
    title,
    comment: title,
    effect: rule.effect,
    make: (document) => withRules(document, [rule, ...document.spec.rules]),
    unmake: (document) => withRules(document, document.spec.rules.filter(({ id }) => id !== rule.id)),
  };
}

/** Takes a rule away. Taken back, it stands where it stood, or as near to it as can be. */
export function removeRule(rule: PolicyRule, index: number, title: string): Change {
  return {
    title,
    comment: title,
    make: (document) => withRules(document, document.spec.rules.filter(({ id }) => id !== rule.id)),
    unmake: (document) => withRules(document, document.spec.rules.toSpliced(index, 0, rule)),
  };
}

/** Puts `after` in the place of `before`, which has the same id. */
export function replaceRule(before: PolicyRule, after: PolicyRule, title: string): Change {
  const put = (document: PolicyDocument, rule: PolicyRule): PolicyDocument =>
    withRules(document, document.spec.rules.map((each) => each.id === before.id ? rule : each));
  return {
    title,
    comment: title,
    make: (document) => put(document, after),
    unmake: (document) => put(document, before),
  };
}

/** A rule about exactly what an edge is. @param expires RFC 3339. */
export function ruleOfEdge(
  edge: EdgeRecord,
  effect: PolicyRule["effect"],
  id: string,
  expires?: string,
): PolicyRule {
  const from = partsOf(edge.source);
  const to = partsOf(edge.destination);
  return {
    id,
    enabled: true,
    direction: edge.direction,
    protocol: edge.protocol,
    source: from === undefined ? { network: edge.source } : from,
    destination: to === undefined
      ? { host: edge.host, ports: [edge.port] }
      : { ...to, service: edge.service },
    effect,
    allowLearned: false,
    ...(expires === undefined ? {} : { expires }),
  };
}

/**
 * Sets the mode of a group in one direction, or in all.
 *
 * @param mode `default` takes the group's own modes away.
 */
export function setMode(group: string, mode: Mode | "default", direction?: Direction): Change {
  const parts = partsOf(group) ?? { namespace: group, image: "" };
  const isOwn = (entry: PolicyMode): boolean =>
    entry.namespace === parts.namespace && entry.image === parts.image &&
    (direction === undefined || entry.direction === direction);
  const made: PolicyMode[] = mode === "default"
    ? []
    : [{ ...parts, ...(direction === undefined ? {} : { direction }), mode, origin: "manual" }];
  let before: readonly PolicyMode[] = [];
  const where = direction === undefined ? group : `${group}, ${direction}`;
  const title = mode === "default" ? `Back to the default mode: ${where}` : `Set ${mode}: ${where}`;
  const put = (document: PolicyDocument, own: readonly PolicyMode[]): PolicyDocument => ({
    ...document,
    spec: { ...document.spec, modes: [...document.spec.modes.filter((entry) => !isOwn(entry)), ...own] },
  });
  return {
    title,
    comment: title,
    ...(mode === "prevent" ? { effect: mode } : {}),
    make(document): PolicyDocument {
      before = document.spec.modes.filter(isOwn);
      return put(document, made);
    },
    unmake: (document) => put(document, before),
  };
}

/** What to know of a change that was made: how it holds for what is open. Empty when nothing is to be said. */
export function afterWords({ effect }: Pick<Change, "effect">): string {
  return effect === "allow" ? "It holds from the next connection on; what is open goes on." : "";
}

/** Whether a change refuses what passes now: it is made for that, or would have done it to traffic that is known. */
export function isBlocking({ effect }: Pick<Change, "effect">, { changes }: SimulationReport): boolean {
  return effect === "prevent" || changes.some(({ to }) => to === "dropped");
}

/** A name for a rule that no other has, from words. */
export function freeId(words: string, taken: ReadonlySet<string>): string {
  const plain = words.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  for (let count = 1;; count++) {
    const suffix = count === 1 ? "" : `-${count}`;
    const base = plain.slice(0, RULE_ID_CHARS_MAX - suffix.length).replaceAll(/^-+|-+$/g, "") || "rule";
    if (!taken.has(base + suffix)) return base + suffix;
  }
}

/** Namespace and image of the id of a group; `undefined` for the name of a network. */
export function partsOf(group: string): { namespace: string; image: string } | undefined {
  const at = group.indexOf("/");
  return at < 0 ? undefined : { namespace: group.slice(0, at), image: group.slice(at + 1) };
}

function withRules(document: PolicyDocument, rules: PolicyRule[]): PolicyDocument {
  return { ...document, spec: { ...document.spec, rules } };
}
