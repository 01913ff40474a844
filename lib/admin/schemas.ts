/**
 * The shapes of what the admin API answers, beside those that events, edges and policies have of their own.
 *
 * Each is bound to the type that the gateway fills it from, so that neither can change alone.
 *
 * @module
 */
import { z } from "zod";
import { eventSchema } from "../events/event.ts";
import { modelEdgeSchema, policySchema, ruleSchema } from "../policy/document.ts";
import type { EdgeTraffic } from "../policy/edge_traffic.ts";
import { edgeSchema } from "../policy/record.ts";
import type { RuleHitsView } from "../policy/rule_hits.ts";
import type { SimulationReport } from "../policy/simulate.ts";
import type { AuditEntry, PolicyVersion } from "../store/store.ts";
import type { BanView, GroupView } from "./control.ts";
import { problemSchema } from "./fault.ts";
import { requestSummarySchema } from "./traffic_schemas.ts";

const ms = z.number().describe("Milliseconds since 1970");
export const modeSchema = z.enum(["learn", "alert", "prevent"]);
export const directionSchema = z.enum(["north-south", "east-west", "egress"]);
const verdict = z.enum(["forwarded", "audited", "dropped"]);

const modeView = z.object({
  mode: modeSchema,
  origin: z.enum(["manual", "promoted", "default"]).describe("Set by an operator, by learning, or for all"),
});

export const groupViewSchema: z.ZodType<GroupView> = z.object({
  id: z.string().describe("NAMESPACE/IMAGE"),
  namespace: z.string(),
  image: z.string().describe("Without tag; ~AGENT when its token enrols none"),
  services: z.array(z.string()),
  agents: z.array(z.string()).describe("Those that are linked now"),
  modes: z.object({ "north-south": modeView, "east-west": modeView, egress: modeView }),
  // Those that it has evidence in, and then the silent ones, with no edges.
  learning: z.array(z.object({
    direction: directionSchema,
    state: z.enum(["learning", "stable", "active", "saturated"]),
    reasons: z.array(z.string()).describe("What it still wants, or what made it so"),
    sinceMs: ms,
    samples: z.number().describe("Requests and connections that were learned from"),
    edges: z.number(),
    routes: z.number(),
    lastNewMs: ms.describe("When something new was last learned"),
    unseenShare: z.number().describe("The share of traffic that was probably not seen yet, from 0 to 1"),
  })),
});

export const banSchema: z.ZodType<BanView> = z.object({
  key: z.string(),
  source: z.string(),
  service: z.string(),
  untilMs: ms,
  reason: z.string(),
});

export const auditSchema: z.ZodType<AuditEntry> = z.object({
  id: z.int(),
  atMs: ms,
  by: z.string(),
  role: z.string(),
  action: z.string().describe("Such as policy.apply"),
  detail: z.string(),
});

const versionFields = {
  version: z.int().describe("Counts from 1"),
  atMs: ms,
  by: z.string().describe("Who made it"),
  comment: z.string(),
};
export const versionSummarySchema: z.ZodType<Omit<PolicyVersion, "document">> = z.object(versionFields);
export const versionSchema: z.ZodType<PolicyVersion> = z.object({ ...versionFields, document: policySchema });

/** What became of a change to the policy. */
export const appliedSchema = z.object({
  version: z.int().describe("The version of the policy that holds now"),
  cut: z.int().describe("Streams that were open and are denied now: they were cut"),
  warnings: z.array(z.string()).describe("What has no effect, or may not be meant"),
});

export const simulationSchema: z.ZodType<SimulationReport> = z.object({
  judged: z.number().describe("Requests and connections"),
  sinceMs: ms,
  droppedNow: z.number(),
  droppedThen: z.number(),
  unjudged: z.number(),
  changes: z.array(z.object({
    direction: directionSchema,
    source: z.string(),
    destination: z.string().describe("GROUP SERVICE, or HOST:PORT"),
    from: verdict,
    to: verdict,
    fromRule: z.string(),
    toRule: z.string(),
    count: z.number(),
    examples: z.array(z.string()),
  })),
});

const hits = { count: z.number(), lastMs: ms };
const defaultHits = z.object({ count: z.number(), lastMs: ms.describe("0 when it never has") });

export const ruleHitsSchema: z.ZodType<RuleHitsView> = z.object({
  sinceMs: ms.describe("When counting began"),
  items: z.array(z.object({ rule: z.string().describe("Its id"), ...hits }))
    .describe("Rules of the policy in force that have decided, in no order; others never have"),
  defaults: z.object({ learned: defaultHits, learning: defaultHits, implicit: defaultHits })
    .describe("What decided where no rule did"),
});

export const edgeTrafficSchema: z.ZodType<EdgeTraffic> = z.object({
  stepMs: z.number(),
  timesMs: z.array(ms).describe("When each step began, the oldest first; the last is not over"),
  counts: z.array(z.number()).describe("Requests and connections that began, dropped ones too"),
  dropped: z.array(z.number()),
  bytes: z.array(z.number()).describe("Both ways together, in the step in which they ended"),
});

export const linkSchema = z.object({
  agent: z.string(),
  group: z.string().describe("NAMESPACE/IMAGE, as in groups and edges"),
  namespace: z.string(),
  image: z.string().describe("As enrolled; empty when it was not"),
  peer: z.string().describe("The address that it dials from"),
  services: z.array(z.string()),
  reach: z.array(z.string()),
  egress: z.boolean(),
  tcp: z.array(z.string()).describe("Those of the services that are raw connections"),
  wall: z.object({
    state: z.enum(["whole", "broken", "unknown"]),
    listeners: z.number(),
    exposed: z.array(z.string()),
    faults: z.array(z.string()),
    reportedAt: z.string().optional(),
  }).describe("What the agent claims of its wall"),
  since: z.string(),
  streams: z.int(),
  roundTripMs: z.number(),
  leaving: z.boolean(),
  claimed: z.record(z.string(), z.string())
    .describe("What the agent says of itself, such as containerId and hostname: shown, never believed"),
});

/** Where visitors and agents come in, and what leads where. */
export const entrySchema = z.object({
  http: z.array(z.string()).describe("HOST:PORT or unix:PATH where HTTP is taken, as in the ready line"),
  https: z.array(z.string()).describe("The same of HTTPS that ends in the gateway"),
  domain: z.string().optional().describe("Below it every service S is at S.DOMAIN"),
  routes: z.array(z.object({
    route: z.string().describe("HOST, HOST/PATH, *.HOST, * or HOST@ALPN"),
    service: z.string(),
  })),
  links: z.array(z.string()).describe("Listeners for links alone; agents are welcome at http and https, too"),
});

export const statusSchema = z.object({
  version: z.string(),
  runtime: z.string(),
  startedAtMs: ms,
  uptimeMs: z.number(),
  ready: z.boolean().describe("False from the moment the gateway begins to stop"),
  links: z.int(),
  caller: z.object({ name: z.string(), role: z.enum(["viewer", "operator"]) }).describe("Who asks"),
  firewall: z.object({
    policyVersion: z.int(),
    isStaged: z.boolean().describe("Whether a policy is staged"),
    unrecorded: z.number().describe("What could not be written down since the start"),
    store: z.object({
      state: z.enum(["ok", "fault"]),
      fault: z.string().optional(),
      sizeBytes: z.number().optional(),
    }),
    streamClients: z.int(),
  }).optional().describe("Absent while the firewall is off"),
  entry: entrySchema.optional().describe(
    "Where visitors and agents come in; it stays as it was at the start",
  ),
});

export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  serve: z.array(z.string()),
  reach: z.array(z.string()),
  egress: z.boolean(),
  namespace: z.string(),
  image: z.string(),
  issuedAtMs: ms,
  expiresAtMs: ms,
  state: z.enum(["valid", "expired", "revoked"]),
  role: z.string().optional().describe("Of an admin token"),
});

export const sessionSchema = z.object({
  name: z.string().describe("Who is signed in: the name of the token that it began with"),
  role: z.enum(["viewer", "operator"]),
  expiresAtMs: ms.describe("When it ends at the latest; it ends earlier when it is not used for an hour"),
});

export const codeSchema = z.object({
  code: z.string().describe("For the address of the page, behind #code="),
  expiresAtMs: ms,
});

/** What has a name of its own in the description; the rest is told in its place. */
export const NAMED_SCHEMAS: Readonly<Record<string, z.ZodType>> = {
  Event: eventSchema,
  Edge: edgeSchema,
  Group: groupViewSchema,
  Link: linkSchema,
  Ban: banSchema,
  AuditEntry: auditSchema,
  Policy: policySchema,
  Rule: ruleSchema,
  PolicyVersion: versionSchema,
  PolicyVersionSummary: versionSummarySchema,
  Applied: appliedSchema,
  Simulation: simulationSchema,
  ModelEdge: modelEdgeSchema,
  RuleHits: ruleHitsSchema,
  EdgeTraffic: edgeTrafficSchema,
  Status: statusSchema,
  Token: tokenSchema,
  RequestSummary: requestSummarySchema,
  Session: sessionSchema,
  Problem: problemSchema,
};
