/**
 * The rule that is made of an event: what the form offers, and what becomes of what was chosen.
 *
 * It is about the image and namespace of the source, so that it holds for every replica and for nobody else.
 *
 * @module
 */
import { addRule, type Change, freeId, partsOf } from "../core/change.ts";
import type { EventEnd, NetwallEvent, PolicyRule } from "../core/types.ts";
import { visible } from "../core/visible.ts";

export type Effect = PolicyRule["effect"];

/** How long a rule holds, by the word of the form. */
export const EXPIRES_MS = {
  never: 0,
  "1 hour": 3_600_000,
  "1 day": 86_400_000,
  "7 days": 604_800_000,
} as const;
export type Expires = keyof typeof EXPIRES_MS;

/** What the form holds. */
export interface RuleDraft {
  readonly name: string;
  readonly effect: Effect;
  readonly expires: Expires;
  /** Conditions on the request; one that is off is left out. */
  readonly hasMethod: boolean;
  readonly method: string;
  readonly hasPath: boolean;
  readonly path: string;
  readonly hasContentType: boolean;
  readonly contentType: string;
}

/** What of the event stays as it is. */
export type RuleEnds = Pick<PolicyRule, "source" | "destination" | "direction" | "protocol">;

const EFFECT_VERBS: Readonly<Record<Effect, string>> = {
  allow: "Allow",
  alert: "Alert on",
  prevent: "Block",
};
/** The longest comment of a rule. */
const COMMENT_CHARS_MAX = 512;
const PATH_CHARS_MAX = 1_024;
/** A name is cut to its end, which says most of an image. */
const SLUG_CHARS_MAX = 22;

/** @returns `undefined` when the event is of no traffic that a rule could be about. */
export function endsOf({ source, destination, direction, protocol }: NetwallEvent): RuleEnds | undefined {
  if (source === undefined || destination === undefined || direction === undefined) return undefined;
  const from = source.kind === "network" ? { network: source.name } : partsOf(source.name);
  const to = destinationOf(destination);
  if (from === undefined || to === undefined) return undefined;
  return { source: from, destination: to, direction, ...(protocol === undefined ? {} : { protocol }) };
}

function destinationOf({ kind, name, host, port, service }: EventEnd): PolicyRule["destination"] | undefined {
  if (kind === "host") return host === undefined || port === undefined ? undefined : { host, ports: [port] };
  const group = partsOf(name);
  return group === undefined ? undefined : { ...group, ...(service === undefined ? {} : { service }) };
}

/** Whether one event stands for many that differ: its last request is not what it is about. */
export function isBlurred({ type, deviation }: NetwallEvent): boolean {
  return type === "unexpectedRequest" && deviation === undefined;
}

/** What the form offers first. @param taken Names of rules that are there. */
export function draftOf(event: NetwallEvent, effect: Effect, taken: ReadonlySet<string>): RuleDraft {
  const { http, deviation } = event;
  // A rule for the whole edge would lift all other rules for it, so a request is taken as it was.
  const isPart = http !== undefined && deviation?.kind !== "edge" && !isBlurred(event);
  return {
    name: freeId(nameOf(event, effect), taken),
    effect,
    expires: "never",
    hasMethod: isPart,
    method: http?.method ?? "",
    hasPath: isPart,
    path: http?.route ?? patternOf(http?.path ?? ""),
    hasContentType: isPart && deviation?.kind === "contentType",
    contentType: http?.contentType ?? "",
  };
}

/** A change of the form. The name that it offered follows the effect: one that somebody wrote stays. */
export function changedDraft(
  draft: RuleDraft,
  patch: Partial<RuleDraft>,
  event: NetwallEvent,
  taken: ReadonlySet<string>,
): RuleDraft {
  const next = { ...draft, ...patch };
  const isOffered = patch.effect !== undefined && draft.name === draftOf(event, draft.effect, taken).name;
  return isOffered ? { ...next, name: draftOf(event, next.effect, taken).name } : next;
}

/** What of the draft cannot be, in words for whoever typed it; the gateway looks at all of it again. */
export function faultOf(draft: RuleDraft, taken: ReadonlySet<string>): string {
  if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(draft.name)) {
    return "Name: use lower-case letters, digits and hyphens, at most 63";
  }
  if (taken.has(draft.name)) return `Name: there is a rule ${draft.name} already`;
  if (draft.hasMethod && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/.test(draft.method)) {
    return "Method: write one such as GET";
  }
  if (!draft.hasPath) return "";
  if (draft.path.length > PATH_CHARS_MAX) return `Path: it has more than ${PATH_CHARS_MAX} characters`;
  if (!/^\/[\x21-\x7e]*$/.test(draft.path)) return "Path: write one such as /api/{int} or /static/**";
  if (/[?#\\;]/.test(draft.path)) return "Path: leave out the query, and ? # ; and backslashes";
  return "";
}

/** @param nowMs From when the expiry counts. */
export function ruleOfDraft(
  draft: RuleDraft,
  ends: RuleEnds,
  event: NetwallEvent,
  nowMs: number,
): PolicyRule {
  const http = {
    ...(draft.hasMethod ? { methods: [draft.method] } : {}),
    ...(draft.hasPath ? { paths: [draft.path] } : {}),
    ...(draft.hasContentType ? { contentTypes: [draft.contentType] } : {}),
  };
  const forMs = EXPIRES_MS[draft.expires];
  return {
    id: draft.name,
    comment: visible(`Made from event ${event.id}: ${event.message}`).slice(0, COMMENT_CHARS_MAX),
    enabled: true,
    ...ends,
    ...(Object.keys(http).length === 0 ? {} : { http }),
    effect: draft.effect,
    allowLearned: false,
    ...(forMs === 0 ? {} : { expires: new Date(nowMs + forMs).toISOString() }),
  };
}

export function changeOfDraft(draft: RuleDraft, ends: RuleEnds, event: NetwallEvent, nowMs: number): Change {
  const { source, destination } = event;
  const to = destination?.kind === "workload" ? destination.service ?? destination.name : destination?.name;
  const until = draft.expires === "never" ? "" : ` for ${draft.expires}`;
  const title = visible(`${EFFECT_VERBS[draft.effect]} ${source?.name} → ${to}${until}`);
  return addRule(ruleOfDraft(draft, ends, event, nowMs), title);
}

function nameOf({ source, destination }: NetwallEvent, effect: Effect): string {
  const from = partsOf(source?.name ?? "")?.image ?? source?.name ?? "";
  return `${effect}-${slug(from)}-${slug(destination?.host ?? destination?.service ?? "")}`;
}

function slug(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(-SLUG_CHARS_MAX).replace(/^-+|-+$/g, "");
}

/** A path that was sent, as a pattern that matches it alone: stars and braces stand for themselves. */
function patternOf(path: string): string {
  return path.replace(/[*{}]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}
