/**
 * The policy as a document: what is written in YAML, sent to the admin API, stored as a version and exported.
 *
 * The schema is the only reading of it. Whatever is unknown is refused: a mistyped key must not silently widen or
 * narrow what is allowed.
 *
 * @module
 */
import { z } from "zod";
import { parseAddress } from "../egress/address_class.ts";
import { isServiceName } from "../service_name.ts";
import { GROUP_ID_CHARS_MAX, parseGroupId } from "./flow.ts";
import type { Mode } from "./mode.ts";
import { isPathPattern } from "./path_pattern.ts";

export const POLICY_API_VERSION = "netwall/v1";
/** Bounds of a document. A whole one is bounded by `POLICY_BYTES_MAX` besides. */
export const RULES_MAX = 10_000;
export const MODES_MAX = 10_000;
export const NETWORKS_MAX = 256;
export const NETWORK_CIDRS_MAX = 1_024;
export const RATE_LIMITS_MAX = 256;
export const MODEL_EDGES_MAX = 20_000;
export const OPERATIONS_PER_EDGE_MAX = 2_048;
export const POLICY_BYTES_MAX = 16 << 20;

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

const text = (charsMax: number): z.ZodString =>
  z.string().max(charsMax).regex(/^[^\p{Cc}]*$/u, "has control characters");
const name = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, {
  message: "use lower-case letters, digits and hyphens, at most 63, such as office",
});
const direction = z.enum(["north-south", "east-west", "egress"]);
const protocol = z.enum(["http", "tcp"]);
const mode = z.enum(["learn", "alert", "prevent"]);
const effect = z.enum(["allow", "alert", "prevent"]);
const serviceName = z.string().refine(isServiceName, "is no name of a service: write a name such as user-db");
const namespace = z.string().refine(isServiceName, "is no namespace: write a name such as shop");
const image = z.string().regex(/^[\x21-\x7e]{1,513}$/, "write an image such as ghcr.io/acme/web")
  .refine((written) => !hasTag(written), "has a tag or digest, a group has none: leave it out");
const port = z.int().min(1).max(65_535);
const host = z.string().max(255).regex(/^(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_])?$|^[0-9a-f:.]+$/, {
  message: "write a host name in lower case, *.NAME for all below it, or an address",
});
const cidr = z.string().max(49).refine(isCidr, "write a network such as 10.0.0.0/8");
const moment = z.iso.datetime({ offset: true });
const groupId = z.string().max(GROUP_ID_CHARS_MAX).refine((id) => parseGroupId(id) !== undefined, {
  message: "write a group as NAMESPACE/IMAGE",
});

/** Whether a reference says which version of an image: policies are about all of them. */
function hasTag(written: string): boolean {
  return written.includes("@") || written.indexOf(":", written.lastIndexOf("/") + 1) >= 0;
}

/** Whether it is a network in the usual form: an address, a slash and a length. */
function isCidr(written: string): boolean {
  const at = written.indexOf("/");
  const address = at < 0 ? undefined : parseAddress(written.slice(0, at));
  const length = written.slice(at + 1);
  return address !== undefined && /^(?:0|[1-9]\d{0,2})$/.test(length) && Number(length) <= address.bits;
}

/** RFC 9110 §9.1: methods are case-sensitive, so that one of these in small letters matches nothing that is sent. */
function isMiswritten(method: string): boolean {
  const upper = method.toUpperCase();
  return upper !== method && METHODS.includes(upper);
}

/** Workloads, by what is given; nothing given is whatever there is: workloads, visitors and hosts outside. */
const workloads = z.strictObject({
  namespace: namespace.optional().describe("Namespace; every one when it is left out"),
  image: image.optional().describe("Image without tag; every one when it is left out"),
});

/** Who a rule is about. */
const ruleSource = z.union([
  z.strictObject({ network: name.describe("A named network, or internet for every address in none") }),
  z.strictObject({ cidr }),
  workloads,
]).describe(
  "Who sends: workloads by namespace and image, a named network, or a network by its addresses; anyone when it is left out",
);

const ruleDestination = z.union([
  z.strictObject({
    host: host.describe("Host outside, as the caller names it"),
    ports: z.array(port).min(1).max(64).optional(),
  }),
  z.strictObject({ cidr, ports: z.array(port).min(1).max(64).optional() }),
  workloads.extend({ service: serviceName.optional().describe("Service of these workloads") }),
]).describe(
  "Where to: workloads and their service, a host outside, or a network by its addresses; anywhere when it is left out",
);

/** Conditions on the request; a rule that has them never matches a raw connection. */
const httpConditions = z.strictObject({
  hosts: z.array(host).min(1).max(64).optional(),
  methods: z.array(
    z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, "is no method: write one such as GET")
      .refine((method) => !isMiswritten(method), "methods are told apart by case: write GET, not get"),
  ).min(1).max(64).optional(),
  paths: z.array(
    z.string().max(1024).regex(/^\/[\x21-\x7e]*$/, "write a path such as /api/{int} or /static/**")
      .refine(
        isPathPattern,
        "write whole segments such as {int} or plain text, ** only at the end, no query, no . and ..",
      ),
  )
    .min(1).max(64).optional()
    .describe(
      "Paths: {int}, {uuid}, {hex}, {date}, {id} and {str} stand for one segment, ** at the end for all below",
    ),
  contentTypes: z.array(z.string().max(127).regex(/^(?:|[a-z0-9!#$&^_.+-]+\/(?:\*|[a-z0-9!#$&^_.+-]+))$/))
    .min(1)
    .max(64).optional().describe("Type and subtype, type/*, or an empty text for requests that name none"),
});

export const ruleSchema = z.strictObject({
  id: name.describe("Names the rule in events; unique"),
  comment: text(512).optional(),
  enabled: z.boolean().default(true),
  direction: direction.optional().describe("Any when it is left out"),
  source: ruleSource.default({}),
  destination: ruleDestination.default({}),
  protocol: protocol.optional().describe("Any when it is left out"),
  http: httpConditions.optional(),
  effect: effect.describe("allow, alert: forward with an event, or prevent: refuse with an event"),
  allowLearned: z.boolean().default(false).describe(
    "With alert and prevent: what is learned passes all the same",
  ),
  expires: moment.optional().describe("The rule matches nothing from then on"),
});

export const modeSchema = z.strictObject({
  namespace: namespace.optional(),
  image: image.optional(),
  direction: direction.optional().describe("All three when it is left out"),
  mode,
  origin: z.enum(["manual", "promoted"]).default("manual").describe("Who set it: a person, or the evidence"),
});

export const rateLimitSchema = z.strictObject({
  id: name,
  service: serviceName.optional().describe("Every service when it is left out"),
  requests: z.int().min(1).max(1_000_000).describe("Requests or connections that one source may make"),
  seconds: z.number().min(0.1).max(86_400).default(1).describe("In so many seconds"),
  burst: z.int().min(1).max(1_000_000).optional().describe(
    "At once; as many as `requests` when it is left out",
  ),
  banSeconds: z.number().min(0).max(86_400).default(0).describe(
    "How long a source over it is refused altogether",
  ),
});

/** One edge of the learned model. A workload is written NAMESPACE/IMAGE, a network by its name. */
export const modelEdgeSchema = z.strictObject({
  direction,
  source: z.union([groupId, name]),
  destination: groupId.optional().describe("The group that serves; none for a host outside"),
  service: serviceName.optional(),
  host: host.optional(),
  port: port.optional(),
  protocol,
  operations: z.array(z.string().max(1400)).max(OPERATIONS_PER_EDGE_MAX).optional()
    .describe("HTTP: METHOD PATH, or METHOD PATH CONTENT-TYPE"),
  origin: z.enum(["learned", "manual"]).default("learned"),
}).refine(
  (edge) =>
    edge.direction === "egress"
      ? edge.host !== undefined && edge.port !== undefined && edge.service === undefined
      : edge.destination !== undefined && edge.service !== undefined && edge.host === undefined,
  {
    message: "egress goes to host and port, everything else to destination and service",
  },
);

export const policySchema = z.strictObject({
  apiVersion: z.literal(POLICY_API_VERSION),
  kind: z.literal("Policy"),
  metadata: z.strictObject({ name: name.default("policy"), comment: text(512).optional() }).prefault({}),
  spec: z.strictObject({
    defaultMode: mode.optional().describe("For groups that have none; left out, it stays as it is"),
    networks: z.record(name, z.array(cidr).min(1).max(NETWORK_CIDRS_MAX)).default({})
      .refine((networks) => Object.keys(networks).length <= NETWORKS_MAX, `at most ${NETWORKS_MAX} networks`)
      .refine(
        (networks) => !("internet" in networks),
        "internet is what lies in no network: take another name",
      ),
    modes: z.array(modeSchema).max(MODES_MAX).default([])
      .describe("The most specific one holds: image before namespace, with a direction before without"),
    rules: z.array(ruleSchema).max(RULES_MAX).default([]).describe(
      "In order: the first that matches decides",
    ),
    rateLimits: z.array(rateLimitSchema).max(RATE_LIMITS_MAX).default([]),
  }).prefault({}),
  model: z.strictObject({ edges: z.array(modelEdgeSchema).max(MODEL_EDGES_MAX) }).optional()
    .describe(
      "What was learned. Applied, it takes the place of what the gateway has learned; left out, that stays",
    ),
}).superRefine(({ spec }, context) => {
  const seen = new Set<string>();
  for (const [key, list] of [["rules", spec.rules], ["rateLimits", spec.rateLimits]] as const) {
    seen.clear();
    list.forEach(({ id }, index) => {
      if (seen.has(id)) {
        context.addIssue({
          code: "custom",
          path: ["spec", key, index, "id"],
          message: `the id ${id} is taken`,
        });
      }
      seen.add(id);
    });
  }
  spec.rules.forEach(({ source }, index) => {
    if (
      !("network" in source) || source.network === "internet" || Object.hasOwn(spec.networks, source.network)
    ) return;
    context.addIssue({
      code: "custom",
      path: ["spec", "rules", index, "source", "network"],
      message: `there is no network ${source.network}: name it under networks`,
    });
  });
});

export type PolicyDocument = z.output<typeof policySchema>;
export type PolicyRule = z.output<typeof ruleSchema>;
export type PolicyMode = z.output<typeof modeSchema>;
export type RateLimitRule = z.output<typeof rateLimitSchema>;
export type ModelEdge = z.output<typeof modelEdgeSchema>;

/** The mode of groups that have none, when nobody has said. */
export const FIRST_MODE = "learn";

/** The policy of a gateway that was never given one. */
export function defaultPolicy(defaultMode: Mode = FIRST_MODE): PolicyDocument {
  return policySchema.parse({ apiVersion: POLICY_API_VERSION, kind: "Policy", spec: { defaultMode } });
}
