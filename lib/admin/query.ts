/**
 * What the queries of several routes share: moments, page sizes and the filters of events.
 *
 * @module
 */
import { z } from "zod";
import { EVENT_TEXT_CHARS_MAX, EVENT_TYPES, eventSchema } from "../events/event.ts";
import { type EventQuery, PAGE_MAX } from "../store/store.ts";

/** How many items a page has when nothing is said. */
export const PAGE_DEFAULT = 100;
/** The largest count that is read: fifteen digits are exact in a number. */
export const COUNT_MAX = 999_999_999_999_999;
/** The year 9999: later moments have no RFC 3339 text. */
const MOMENT_MS_MAX = 253_402_300_799_999;

/** A moment as RFC 3339 text or in milliseconds since 1970; read as milliseconds. */
export const momentSchema = z.string().max(40).transform((text, context) => {
  const isCount = /^\d{1,15}$/.test(text);
  const ms = isCount
    ? Number(text)
    : z.iso.datetime({ offset: true }).safeParse(text).success
    ? Date.parse(text)
    : NaN;
  if (ms >= 0 && ms <= MOMENT_MS_MAX) return ms;
  context.addIssue({
    code: "custom",
    message: "write a moment such as 2026-01-31T12:00:00Z, or milliseconds",
  });
  return z.NEVER;
}).describe("RFC 3339, or milliseconds since 1970");

/** A whole number in decimal digits. */
export function wholeNumber(min: number, max: number): z.ZodType<number, string> {
  return z.string().regex(/^\d{1,15}$/, `write a whole number from ${min} to ${max}`).transform(Number)
    .pipe(z.int().min(min, `is less than ${min}`).max(max, `is more than ${max}`))
    .meta({ type: "integer", minimum: min, maximum: max, pattern: undefined });
}

export const limitSchema = wholeNumber(1, PAGE_MAX).optional().transform((limit) => limit ?? PAGE_DEFAULT)
  .describe(`How many at most; ${PAGE_DEFAULT} when it is left out`);

/** Pages of what is counted from 1: versions, audit entries. */
export const numberPageSchema = z.strictObject({
  limit: limitSchema,
  before: wholeNumber(1, COUNT_MAX).optional()
    .describe("The next of the page before"),
});

const text = z.string().min(1).max(EVENT_TEXT_CHARS_MAX);
const { severity, effect, verdict, direction } = eventSchema.shape;
const EFFECTS = effect.options.join("|");
/** One effect, or several of them. */
const effectsSchema = z.string().max(64)
  .regex(
    new RegExp(`^(${EFFECTS})(,(${EFFECTS}))*$`),
    "write allow, alert or prevent, or several with commas",
  )
  .transform((words) => [...new Set(words.split(","))] as z.output<typeof effect>[])
  .describe("One of allow, alert and prevent; or several, such as alert,prevent: any of them");
/** The longest text that is looked for. */
export const SEARCH_CHARS_MAX = 256;

/** What events to look for; all that is given must hold, texts but `q` are compared whole. */
export const eventFilterSchema = z.strictObject({
  since: momentSchema.optional().describe("Only what was last seen then or later"),
  until: momentSchema.optional().describe("Only what was last seen before"),
  type: z.enum(EVENT_TYPES).optional(),
  image: text.optional().describe("With its tag or digest, or without"),
  namespace: text.optional(),
  service: text.optional(),
  source: text.optional().describe("The name of the source: the id of a group, or a network"),
  destination: text.optional().describe("The name of the destination: the id of a group, or a host"),
  effect: effectsSchema.optional(),
  verdict: verdict.optional(),
  direction,
  severity: severity.optional(),
  host: text.optional()
    .describe(
      "What an end claims to be: its hostname, or its container's name or id, of which 12 digits are enough",
    ),
  q: z.string().min(1).max(SEARCH_CHARS_MAX).optional()
    .describe("Is in the message, the path or a name; capitals or not"),
  before: z.string().regex(/^[\x21-\x7e]{1,64}$/).optional().describe("The next of the page before"),
});
export type EventFilter = z.output<typeof eventFilterSchema>;

/** The query of the store for a filter. */
export function eventQueryOf({ since, until, ...rest }: EventFilter, limit: number): EventQuery {
  const query = {
    ...rest,
    limit,
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
  // What was left out must be absent: a store that sees it as a condition would find nothing.
  return Object.fromEntries(
    Object.entries(query).filter(([, value]) => value !== undefined),
  ) as unknown as EventQuery;
}
