/**
 * An event: something that the firewall noticed, told so that a person can answer for it.
 *
 * It says which container, from where, to where, by which rule, what was done, and what it was about. Equal events
 * within `MERGE_MS` are one, with a count. Nothing of a body and no header is in it.
 *
 * @module
 */
import { z } from "zod";

/** Equal events within this time are one. */
export const MERGE_MS = 5 * 60_000;
/** The longest text of one field; a longer one is cut when the event is made. */
export const EVENT_TEXT_CHARS_MAX = 1024;

const text = z.string().max(EVENT_TEXT_CHARS_MAX);
const ms = z.number().describe("Milliseconds since 1970");

export const EVENT_TYPES = [
  "unexpectedConnection",
  "unexpectedRequest",
  "policyRule",
  "stagedVerdict",
  "rateLimit",
  "authFailure",
  "policyChange",
  "modelStable",
  "modelSaturated",
  "storeFault",
] as const;

/** What stands at one end of a flow. What an agent only claims has its name begin with `claimed`. */
export const eventEndSchema = z.object({
  kind: z.enum(["workload", "network", "host"]),
  /** The id of a group, the name of a network, or a host. */
  name: text,
  namespace: text.optional(),
  image: text.optional().describe("As enrolled, with its tag"),
  agent: text.optional().describe("The name in the token"),
  service: text.optional(),
  ip: text.optional().describe("Of what is outside"),
  host: text.optional(),
  port: z.int().optional().describe(
    "Outside: the port that was called; of a workload: the one that its agent claims",
  ),
  claimedContainerId: text.optional(),
  claimedContainerName: text.optional(),
  claimedHostname: text.optional(),
});

export const eventSchema = z.object({
  id: z.string().max(64).describe("Unique; later events have greater ones"),
  seq: z.int().describe("Grows with every change of any event: ask for what came after it"),
  time: ms.describe("The last time"),
  firstTime: ms.describe("The first time"),
  count: z.int().min(1),
  type: z.enum(EVENT_TYPES),
  severity: z.enum(["info", "warning", "critical"]),
  direction: z.enum(["north-south", "east-west", "egress"]).optional(),
  protocol: z.enum(["http", "tcp"]).optional(),
  mode: z.enum(["learn", "alert", "prevent"]).optional(),
  effect: z.enum(["allow", "alert", "prevent"]),
  verdict: z.enum(["forwarded", "audited", "dropped"]),
  pendingVerdict: z.enum(["forwarded", "audited", "dropped"]).optional()
    .describe("What the staged policy says, or else this one in the mode prevent"),
  rule: z.object({
    kind: z.enum([
      "rule",
      "implicit",
      "learned",
      "learning",
      "closed",
      "rateLimit",
      "ban",
      "token",
      "egressRule",
    ])
      .describe("token: the caller's token does not allow it; egressRule: no --allow-egress does"),
    id: text.optional(),
    index: z.int().optional().describe("Its place in the policy, from 0"),
  }),
  pendingRule: z.object({ kind: text, id: text.optional(), index: z.int().optional() }).optional(),
  deviation: z.object({
    kind: z.enum(["edge", "route", "method", "contentType"]),
    observed: text,
    expected: text,
  }).optional(),
  source: eventEndSchema.optional(),
  destination: eventEndSchema.optional(),
  http: z.object({
    method: text,
    host: text,
    path: text,
    route: text.optional(),
    status: z.int().optional(),
    contentType: text.optional(),
    userAgent: text.optional(),
    requestId: text,
  }).optional().describe("Of the last request"),
  message: text,
  policyVersion: z.int().optional(),
});

export type NetwallEvent = z.output<typeof eventSchema>;
export type EventEnd = z.output<typeof eventEndSchema>;
export type EventType = (typeof EVENT_TYPES)[number];

/** An event as it is noticed: the store gives it its id and place. */
export type Noticed = Omit<NetwallEvent, "id" | "seq" | "firstTime" | "count">;
