/**
 * What is kept of traffic: edges for the map, and flows to try a policy on.
 *
 * Both are sums: a thousand equal requests are one record with a count.
 *
 * @module
 */
import { z } from "zod";

const ms = z.number().describe("Milliseconds since 1970");
const direction = z.enum(["north-south", "east-west", "egress"]);
const verdict = z.enum(["forwarded", "audited", "dropped"]);

/** Where it goes, flat: a group and its service, or a host and its port. */
const ends = {
  direction,
  protocol: z.enum(["http", "tcp"]),
  source: z.string().describe("The id of a group, or the name of a network"),
  destination: z.string().describe("The id of a group; empty for a host outside"),
  service: z.string().describe("Empty for a host outside"),
  host: z.string().describe("Empty for a service"),
  port: z.int().describe("Of a host outside; 0 for a service"),
};

/** What talked to what, ever since it is known. */
export const edgeSchema = z.object({
  id: z.string().describe("Made from its ends: the same edge always has the same id"),
  ...ends,
  state: z.enum(["learned", "manual", "unknown", "blocked"])
    .describe("By the newest verdict: in the model, allowed by a rule, forwarded but neither, or dropped"),
  firstSeenMs: ms,
  lastSeenMs: ms,
  count: z.int().describe("Requests and connections, dropped ones too"),
  droppedCount: z.int(),
  failedCount: z.int().describe("Answered with an error, or never connected"),
  inBytes: z.number(),
  outBytes: z.number(),
  lastVerdict: verdict,
  lastRule: z.string().describe("The id of the rule, or learned, learning, implicit, closed"),
  seq: z.int().describe("Grows with every change of any edge"),
});
export type EdgeRecord = z.output<typeof edgeSchema>;

/** Requests or connections of one hour that are equal in all that a policy looks at. */
export const flowRecordSchema = z.object({
  ...ends,
  hourMs: ms.describe("The beginning of the hour"),
  /** One address of an outside source, so that networks can be tried too; empty for a group. */
  address: z.string(),
  method: z.string().describe(
    "Empty for a raw connection, and for requests of a flood that were summed by edge",
  ),
  httpHost: z.string(),
  /** The route as it is known, such as `/users/{int}`. */
  route: z.string(),
  /** One path that was asked for. */
  path: z.string(),
  contentType: z.string(),
  verdict,
  count: z.int(),
  bytes: z.number().describe("Both ways together"),
});
export type FlowRecord = z.output<typeof flowRecordSchema>;
