/**
 * Routes of what is there now: the gateway itself, links, groups, edges, bans, and who changed what.
 *
 * @module
 */
import { z } from "zod";
import { modelEdgeSchema } from "../policy/document.ts";
import { GROUP_ID_CHARS_MAX } from "../policy/flow.ts";
import { edgeSchema } from "../policy/record.ts";
import type { Attachment } from "../routing/registry.ts";
import { StoreError } from "../store/store.ts";
import { VERSION } from "../version.ts";
import { type Backend, firewallOf } from "./backend.ts";
import { jsonBody } from "./body.ts";
import type { Applied, FirewallControl } from "./control.ts";
import { COUNT_MAX, momentSchema, numberPageSchema, wholeNumber } from "./query.ts";
import { type Route, route } from "./route.ts";
import {
  appliedSchema,
  auditSchema,
  banSchema,
  directionSchema,
  edgeTrafficSchema,
  groupViewSchema,
  linkSchema,
  modeSchema,
  statusSchema,
} from "./schemas.ts";

/** What became of a change, in short. */
export function appliedOf({ version, cut, warnings }: Applied): z.output<typeof appliedSchema> {
  return { version: version.version, cut, warnings: [...warnings] };
}

const status = route({
  id: "readStatus",
  method: "get",
  path: "/api/v1/status",
  summary: "The gateway: version, store, policy, and who asks",
  role: "viewer",
  answer: { description: "The state of the gateway", schema: statusSchema },
  handle: ({ backend, actor }) => {
    const { firewall, registry, startedAtMs, runtime, entry } = backend;
    return {
      ...{ version: VERSION, runtime, startedAtMs, uptimeMs: Math.max(0, backend.nowMs() - startedAtMs) },
      ready: backend.ready(),
      links: registry.all().length,
      caller: { name: actor.name, role: actor.role },
      ...(firewall === undefined ? {} : { firewall: firewallStatus(firewall, backend) }),
      ...(entry === undefined ? {} : { entry }),
    };
  },
});

function firewallStatus(
  firewall: FirewallControl,
  { live }: Backend,
): NonNullable<z.output<typeof statusSchema>["firewall"]> {
  return {
    policyVersion: firewall.policy().version,
    isStaged: firewall.staged() !== undefined,
    unrecorded: firewall.unrecorded,
    store: storeStatus(firewall),
    streamClients: live?.clients ?? 0,
  };
}

function storeStatus(
  { store, storeFault }: FirewallControl,
): { state: "ok" | "fault"; fault?: string; sizeBytes?: number } {
  if (storeFault !== undefined) return { state: "fault", fault: storeFault };
  try {
    return { state: "ok", sizeBytes: store.sizeBytes() };
  } catch (error) {
    if (error instanceof StoreError) return { state: "fault", fault: error.message };
    throw error;
  }
}

const links = route({
  id: "listLinks",
  method: "get",
  path: "/api/v1/links",
  summary: "The agents that are linked now",
  role: "viewer",
  answer: { description: "All links", schema: z.object({ links: z.array(linkSchema) }) },
  handle: ({ backend }) => ({ links: backend.registry.all().map(linkOf) }),
});

function linkOf(attachment: Attachment): z.output<typeof linkSchema> {
  const { agent, namespace, image, session } = attachment;
  return {
    agent,
    group: attachment.group.id,
    namespace,
    image,
    peer: session.link.peer,
    services: [...attachment.services],
    reach: [...attachment.reach],
    egress: attachment.egress,
    tcp: [...attachment.tcp],
    wall: wallOf(attachment),
    since: new Date(attachment.sinceMs).toISOString(),
    streams: session.streamsOpen,
    roundTripMs: Math.round(session.rttMs * 1000) / 1000,
    leaving: session.leaving,
    claimed: { ...attachment.claimed },
  };
}

/** What an agent claims of its wall; `unknown` until it has reported. */
function wallOf({ wall }: Attachment): z.output<typeof linkSchema>["wall"] {
  if (wall === undefined) {
    return { state: "unknown", listeners: 0, exposed: [], faults: ["No report has come"] };
  }
  const { state, listeners, exposed, faults } = wall.claim;
  const reportedAt = new Date(wall.atMs).toISOString();
  return { state, listeners, exposed: [...exposed], faults: [...faults], reportedAt };
}

const groups = route({
  id: "listGroups",
  method: "get",
  path: "/api/v1/groups",
  summary: "Groups of workloads: their modes, and how far they have come with learning",
  role: "viewer",
  answer: { description: "All groups", schema: z.object({ items: z.array(groupViewSchema) }) },
  handle: ({ backend }) => ({ items: firewallOf(backend).groups() }),
});

// Images hold slashes, which proxies treat in many ways in a path: groups are named in bodies and queries.
const group = z.string().min(3).max(GROUP_ID_CHARS_MAX).regex(/^[^/]+\/./, "write NAMESPACE/IMAGE");

const groupModel = route({
  id: "readGroupModel",
  method: "get",
  path: "/api/v1/groups/model",
  summary: "What was learned of a group: the edges of the model at whose one end it is",
  role: "viewer",
  query: z.strictObject({ group: group.describe("The id of a group: NAMESPACE/IMAGE") }),
  answer: {
    description: "In a fixed order, as a policy has them",
    schema: z.object({ edges: z.array(modelEdgeSchema) }),
  },
  handle: ({ backend, query }) => ({ edges: firewallOf(backend).groupModel(query.group) }),
});

const setMode = route({
  id: "setGroupMode",
  method: "put",
  path: "/api/v1/groups/mode",
  summary: "Sets the mode of a group, in one direction or in all",
  role: "operator",
  body: jsonBody(z.strictObject({
    group: group.describe("The id of a group: NAMESPACE/IMAGE"),
    mode: z.enum([...modeSchema.options, "default"])
      .describe("default takes its modes away: that of its namespace, or of all, holds then"),
    direction: directionSchema.optional().describe("All three when it is left out"),
  })),
  answer: { description: "A new version of the policy holds", schema: appliedSchema },
  handle: ({ backend, actor, body }) =>
    appliedOf(firewallOf(backend).setMode(body.group, body.mode, actor, body.direction)),
});

const relearn = route({
  id: "relearnGroup",
  method: "post",
  path: "/api/v1/groups/relearn",
  summary: "Forgets what was learned of a group, and puts it in the mode learn until its model is stable",
  role: "operator",
  body: jsonBody(z.strictObject({ group })),
  answer: { description: "A new version of the policy holds", schema: appliedSchema },
  handle: ({ backend, actor, body }) => appliedOf(firewallOf(backend).relearn(body.group, actor)),
});

const edges = route({
  id: "listEdges",
  method: "get",
  path: "/api/v1/edges",
  summary: "What talked to what: the map",
  role: "viewer",
  query: z.strictObject({
    since: momentSchema.optional().transform((ms) => ms ?? 0).describe("Only what was seen since then"),
    after: wholeNumber(0, COUNT_MAX).optional().transform((seq) => seq ?? 0)
      .describe("Only what changed after this seq of an edge"),
  }),
  answer: { description: "The newest first", schema: z.object({ items: z.array(edgeSchema) }) },
  handle: ({ backend, query }) => {
    const found = firewallOf(backend).edges().filter((edge) =>
      edge.lastSeenMs >= query.since && edge.seq > query.after
    );
    return { items: found.sort((a, b) => b.lastSeenMs - a.lastSeenMs) };
  },
});

const edgeTraffic = route({
  id: "readEdgeTraffic",
  method: "get",
  path: "/api/v1/edges/{id}/traffic",
  summary: "What went over an edge, step by step",
  description:
    "The last hour is that of this gateway since its start; the week is kept, and some seconds behind.",
  role: "viewer",
  params: z.object({ id: z.string().regex(/^[\x21-\x7e]{1,64}$/) }),
  query: z.strictObject({
    window: z.enum(["1h", "7d"]).default("1h").describe("An hour in minutes, or seven days in hours"),
  }),
  answer: { description: "Columns with one value for each step", schema: edgeTrafficSchema },
  handle: ({ backend, params, query }) => firewallOf(backend).edgeTraffic(params.id, query.window),
});

const bans = route({
  id: "listBans",
  method: "get",
  path: "/api/v1/bans",
  summary: "Sources that are refused for a while",
  role: "viewer",
  answer: { description: "All bans", schema: z.object({ items: z.array(banSchema) }) },
  handle: ({ backend }) => ({ items: firewallOf(backend).bans() }),
});

const unban = route({
  id: "deleteBan",
  method: "delete",
  path: "/api/v1/bans/{key}",
  summary: "Lets a source in again",
  role: "operator",
  params: z.object({ key: z.string().min(1).max(1024).describe("The key of a ban, percent-encoded") }),
  answer: { description: "It is let in" },
  handle: ({ backend, actor, params }) => firewallOf(backend).unban(params.key, actor),
});

const audit = route({
  id: "listAudit",
  method: "get",
  path: "/api/v1/audit",
  summary: "Who changed what",
  role: "viewer",
  query: numberPageSchema,
  answer: {
    description: "The newest first; next is what to give as before",
    schema: z.object({ items: z.array(auditSchema), next: z.string().optional() }),
  },
  handle: ({ backend, query }) => firewallOf(backend).store.audits(query.limit, query.before),
});

export const STATE_ROUTES: readonly Route[] = [
  status,
  links,
  groups,
  groupModel,
  setMode,
  relearn,
  edges,
  edgeTraffic,
  bans,
  unban,
  audit,
];
