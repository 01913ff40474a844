/**
 * What events are looked for: as it stands in the address, as it is shown, and as the API is asked.
 *
 * Whatever is wrong in an address is as if it were not there.
 *
 * @module
 */
import type { NetwallEvent } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { TYPE_WORDS } from "./words.ts";

/** How far back, by the word in the address. */
export const LAST_MS: Readonly<Record<string, number>> = {
  "15m": 15 * 60_000,
  "1h": 3_600_000,
  "24h": 24 * 3_600_000,
};

/** Filters with few values, and these values. */
export const CHOICES = {
  severity: ["info", "warning", "critical"],
  effect: ["alert,prevent", "allow", "alert", "prevent"],
  verdict: ["forwarded", "audited", "dropped"],
  direction: ["north-south", "east-west", "egress"],
  type: Object.keys(TYPE_WORDS),
  last: Object.keys(LAST_MS),
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Filters with any text. `q` is searched for, the others are compared whole. */
export const TEXTS = ["q", "host", "namespace", "image", "service", "source", "destination"] as const;
/** Moments in milliseconds since 1970, from views that know them; `last` goes before. */
const MOMENTS = ["since", "until"] as const;

export type ChoiceName = keyof typeof CHOICES;
export type TextName = (typeof TEXTS)[number];
export type FilterName = ChoiceName | TextName | (typeof MOMENTS)[number];
export type EventFilters = Readonly<Partial<Record<FilterName, string>>>;

/** In the order in which they are shown. */
export const FILTER_NAMES: readonly FilterName[] = [
  ...TEXTS.slice(0, 1),
  ...(["last", "since", "until", "type", "severity", "effect", "verdict", "direction"] as const),
  ...TEXTS.slice(1),
];

export const FILTER_WORDS: Readonly<Record<FilterName, string>> = {
  q: "Text",
  last: "Time",
  since: "Since",
  until: "Until",
  type: "Type",
  severity: "Severity",
  effect: "Effect",
  verdict: "Verdict",
  direction: "Direction",
  host: "Container or host",
  namespace: "Namespace",
  image: "Image",
  service: "Service",
  source: "Source",
  destination: "Destination",
};

/** The longest text that the API takes. */
export const TEXT_CHARS_MAX = 1_024;
/** The same of what is searched for. */
export const SEARCH_CHARS_MAX = 256;
/** Later moments have no RFC 3339 text. */
const MOMENT_MS_MAX = 253_402_300_799_999;

export function parseFilters(params: URLSearchParams): EventFilters {
  const found: Partial<Record<FilterName, string>> = {};
  for (const name of TEXTS) {
    const text = (params.get(name) ?? "").slice(0, charsMax(name));
    if (text.trim() !== "") found[name] = text;
  }
  for (const [name, values] of Object.entries(CHOICES) as [ChoiceName, readonly string[]][]) {
    const value = params.get(name);
    if (value !== null && values.includes(value)) found[name] = value;
  }
  for (const name of MOMENTS) {
    const ms = momentOf(params.get(name));
    if (ms !== undefined && found.last === undefined) found[name] = String(ms);
  }
  return found;
}

/** The longest text of a filter. */
export function charsMax(name: TextName): number {
  return name === "q" ? SEARCH_CHARS_MAX : TEXT_CHARS_MAX;
}

/** What to ask the API. @param nowMs For what counts back from now. */
export function queryOf(filters: EventFilters, nowMs: number): Record<string, string | number> {
  const { last, ...rest } = filters;
  return last === undefined ? rest : { ...rest, since: nowMs - LAST_MS[last]! };
}

/** One chosen filter, as it is told. */
export interface Chip {
  readonly name: FilterName;
  readonly words: string;
  readonly value: string;
}

export function chipsOf(filters: EventFilters): Chip[] {
  return FILTER_NAMES.flatMap((name) => {
    const value = filters[name];
    return value === undefined ? [] : [{ name, words: FILTER_WORDS[name], value: valueText(name, value) }];
  });
}

/** A value as people read it. */
export function valueText(name: FilterName, value: string): string {
  if (name === "last") {
    return { "15m": "last 15 minutes", "1h": "last hour", "24h": "last 24 hours" }[value] ?? value;
  }
  if (name === "since" || name === "until") return new Date(Number(value)).toISOString();
  if (name === "type") return TYPE_WORDS[value as NetwallEvent["type"]];
  if (name === "effect") return value.replace(",", " or ");
  return visible(value);
}

/** The patch of the address that takes all filters away. */
export function cleared(): Record<string, undefined> {
  return Object.fromEntries(FILTER_NAMES.map((name) => [name, undefined]));
}

function momentOf(text: string | null): number | undefined {
  if (text === null || text === "") return undefined;
  // Browsers read almost anything as a date, such as "-1".
  const ms = /^\d{1,15}$/.test(text) ? Number(text) : /^\d{4}-\d\d-\d\dT/.test(text) ? Date.parse(text) : NaN;
  return ms >= 0 && ms <= MOMENT_MS_MAX ? ms : undefined;
}
