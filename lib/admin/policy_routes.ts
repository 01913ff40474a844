/**
 * Routes of the policy: the one in force, the staged one, its versions, and what another would change.
 *
 * A policy is sent as YAML or JSON, whole. Its ETag is its version: sent back as If-Match, it keeps two operators from
 * undoing each other's changes.
 *
 * Source: RFC 9110 §8.8.3 (ETag), §13.1.1 (If-Match); RFC 9512 (application/yaml).
 *
 * @module
 */
import { z } from "zod";
import { POLICY_BYTES_MAX, type PolicyDocument, policySchema } from "../policy/document.ts";
import { diffPolicies, formatDiff, POLICY_PARTS } from "../policy/policy_diff.ts";
import { PolicyError } from "../policy/policy_fault.ts";
import { formatPolicy, parsePolicy } from "../policy/policy_yaml.ts";
import { firewallOf } from "./backend.ts";
import type { BodyReader } from "./body.ts";
import type { FirewallControl } from "./control.ts";
import { ApiFault, FAULTS_MAX } from "./fault.ts";
import { COUNT_MAX, momentSchema, numberPageSchema, wholeNumber } from "./query.ts";
import { type Route, route } from "./route.ts";
import {
  appliedSchema,
  ruleHitsSchema,
  simulationSchema,
  versionSchema,
  versionSummarySchema,
} from "./schemas.ts";
import { appliedOf } from "./state_routes.ts";

const COMMENT_CHARS_MAX = 512;
/** How far back a policy is tried when nothing is said. */
const SIMULATE_MS = 7 * 24 * 3_600_000;

/** The longest policy in YAML; in JSON it may have `POLICY_BYTES_MAX`. */
const YAML_CHARS_MAX = 1 << 20;

/** JSON is YAML too, so there is one reader. */
const policyBody: BodyReader<PolicyDocument> = {
  media: ["application/yaml", "application/json", "application/x-yaml", "text/yaml", "text/x-yaml"],
  bytesMax: POLICY_BYTES_MAX,
  schema: policySchema,
  parse(text: string): PolicyDocument {
    // Reading YAML holds the event loop for a second or more for each MiB.
    if (text.length > YAML_CHARS_MAX && !text.trimStart().startsWith("{")) {
      throw new ApiFault(
        413,
        `YAML is taken up to ${YAML_CHARS_MAX} characters: send JSON, or use policy apply`,
      );
    }
    try {
      return parsePolicy(text);
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      throw new ApiFault(422, "Cannot use the policy: see errors", error.faults.slice(0, FAULTS_MAX));
    }
  },
};

const etagOf = (version: number): string => `"${version}"`;

const read = route({
  id: "readPolicy",
  method: "get",
  path: "/api/v1/policy",
  summary: "The policy in force, without the model",
  role: "viewer",
  answer: { description: "Its version is its ETag", schema: versionSchema },
  handle: ({ backend, answerHeaders }) => {
    const policy = firewallOf(backend).policy();
    answerHeaders.set("ETag", etagOf(policy.version));
    return policy;
  },
});

const exported = route({
  id: "exportPolicy",
  method: "get",
  path: "/api/v1/policy.yaml",
  summary: "The policy in force with the learned model, as it can be applied",
  role: "viewer",
  query: z.strictObject({
    model: z.enum(["true", "false"]).default("true").describe("false leaves the learned model out"),
  }),
  answer: { description: "Its version is its ETag", media: "application/yaml" },
  handle: async ({ backend, query, answerHeaders, turn }) => {
    const firewall = firewallOf(backend);
    const { version, document } = firewall.policy();
    const whole = query.model === "true" ? firewall.exported() : document;
    answerHeaders.set("ETag", etagOf(version));
    answerHeaders.set("Content-Type", "application/yaml; charset=utf-8");
    const text = await turn(() => formatPolicy(whole));
    return new Response(text, { headers: answerHeaders });
  },
});

const apply = route({
  id: "applyPolicy",
  method: "put",
  path: "/api/v1/policy",
  summary: "Puts a policy in force",
  description:
    "With a model it takes the place of what was learned; without one, that stays. If-Match names the " +
    "version that it was made from: another one in force is answered with 412.",
  role: "operator",
  query: z.strictObject({
    comment: z.string().max(COMMENT_CHARS_MAX).regex(/^[^\p{Cc}]*$/u, "has control characters").default("")
      .describe("Why, for the list of versions"),
  }),
  body: policyBody,
  answer: { description: "A new version holds", schema: appliedSchema },
  handle: ({ backend, actor, body, query, headers, answerHeaders }) => {
    const firewall = firewallOf(backend);
    const expected = expectedVersion(firewall, headers.get("if-match"));
    const applied = appliedOf(firewall.apply(body, actor, query.comment, expected));
    answerHeaders.set("ETag", etagOf(applied.version));
    return { ...applied, warnings: [...applied.warnings, ...firewall.warningsOf(body)] };
  },
});

/** @returns The version that must be in force; `undefined` when any will do. @throws {ApiFault} 400, 412. */
function expectedVersion(firewall: FirewallControl, ifMatch: string | null): number | undefined {
  if (ifMatch === null || ifMatch.trim() === "*") return undefined;
  const tags = ifMatch.split(",").map((tag) => tag.trim());
  if (!tags.every((tag) => /^(?:W\/)?"[\x21\x23-\x7e]{0,64}"$/.test(tag))) {
    throw new ApiFault(400, 'Cannot read If-Match: write a version in quotes, such as "7"');
  }
  const { version } = firewall.policy();
  // Weak tags never match here, by RFC 9110 §13.1.1.
  if (tags.includes(etagOf(version))) return version;
  throw new ApiFault(
    412,
    `Version ${version} is in force by now: read it, and make the change again`,
    undefined,
    {
      ETag: etagOf(version),
    },
  );
}

const diff = route({
  id: "diffPolicy",
  method: "post",
  path: "/api/v1/policy/diff",
  summary: "What applying a policy would change",
  role: "operator",
  body: policyBody,
  answer: {
    description: "A line for each change; none when there is nothing to change",
    schema: z.object({
      version: z.int().describe("What it was compared to"),
      changes: z.array(z.object({
        part: z.enum(POLICY_PARTS),
        kind: z.enum(["added", "removed", "changed", "moved"]),
        name: z.string().describe("What it is about, such as the id of a rule"),
        details: z.array(z.string()),
      })),
      lines: z.array(z.string()).describe("The same in words, bounded"),
      warnings: z.array(z.string()).describe("What of it has no effect, or may not be meant"),
    }),
  },
  handle: async ({ backend, body, turn }) => {
    const firewall = firewallOf(backend);
    const { version, document } = firewall.policy();
    // A policy that comes without a model leaves it as it is.
    const before = body.model === undefined ? document : firewall.exported();
    const found = await turn(() => diffPolicies(before, body));
    const changes = found.changes.map((change) => ({ ...change, details: [...change.details] }));
    const lines = formatDiff(found).split("\n").filter((line) => line !== "");
    return { version, changes, lines, warnings: firewall.warningsOf(body) };
  },
});

const simulate = route({
  id: "simulatePolicy",
  method: "post",
  path: "/api/v1/policy/simulate",
  summary: "Tries a policy on the stored flows, and changes nothing",
  role: "operator",
  query: z.strictObject({
    since: momentSchema.optional().describe("From when on; seven days when left out"),
  }),
  body: policyBody,
  answer: { description: "What it would have judged otherwise, with examples", schema: simulationSchema },
  handle: ({ backend, body, query }) =>
    firewallOf(backend).simulate(body, query.since ?? Math.max(0, backend.nowMs() - SIMULATE_MS)),
});

const readStaged = route({
  id: "readStagedPolicy",
  method: "get",
  path: "/api/v1/policy/staged",
  summary: "The policy whose verdicts are shown as pending",
  role: "viewer",
  answer: { description: "The staged policy", schema: z.object({ document: policySchema }) },
  handle: ({ backend }) => {
    const document = firewallOf(backend).staged();
    if (document !== undefined) return { document };
    throw new ApiFault(404, "No policy is staged");
  },
});

const stage = route({
  id: "stagePolicy",
  method: "put",
  path: "/api/v1/policy/staged",
  summary: "Sets the policy whose verdicts are shown as pending; it blocks nothing",
  role: "operator",
  body: policyBody,
  answer: { description: "It is staged" },
  handle: ({ backend, actor, body }) => firewallOf(backend).stage(body, actor),
});

const unstage = route({
  id: "unstagePolicy",
  method: "delete",
  path: "/api/v1/policy/staged",
  summary: "Takes the staged policy away",
  role: "operator",
  answer: { description: "None is staged" },
  handle: ({ backend, actor }) => firewallOf(backend).stage(undefined, actor),
});

const versions = route({
  id: "listPolicyVersions",
  method: "get",
  path: "/api/v1/policy/versions",
  summary: "Versions of the policy",
  role: "viewer",
  query: numberPageSchema,
  answer: {
    description: "The newest first; next is what to give as before",
    schema: z.object({ items: z.array(versionSummarySchema), next: z.string().optional() }),
  },
  handle: ({ backend, query }) => firewallOf(backend).store.policies(query.limit, query.before),
});

const versionNumber = z.object({ version: wholeNumber(1, COUNT_MAX) });

const readVersion = route({
  id: "readPolicyVersion",
  method: "get",
  path: "/api/v1/policy/versions/{version}",
  summary: "One version of the policy, without the model",
  role: "viewer",
  params: versionNumber,
  answer: { description: "The version", schema: versionSchema },
  handle: ({ backend, params }) => {
    const found = firewallOf(backend).store.policy(params.version);
    if (found !== undefined) return found;
    throw new ApiFault(404, "There is no such version of the policy");
  },
});

const rollback = route({
  id: "rollbackPolicy",
  method: "post",
  path: "/api/v1/policy/versions/{version}/rollback",
  summary: "Puts an older version in force again, as a new one",
  description: "If-Match names the version that the caller has seen in force, as when a policy is applied.",
  role: "operator",
  params: versionNumber,
  answer: { description: "A new version holds", schema: appliedSchema },
  handle: ({ backend, actor, params, headers }) => {
    const firewall = firewallOf(backend);
    expectedVersion(firewall, headers.get("if-match"));
    return appliedOf(firewall.rollback(params.version, actor));
  },
});

const hits = route({
  id: "readPolicyHits",
  method: "get",
  path: "/api/v1/policy/hits",
  summary: "How often each rule has decided, and what decided where none did",
  description: "A rule whose id stays keeps its count over changes of the policy, and over restarts.",
  role: "viewer",
  answer: { description: "Counts since counting began", schema: ruleHitsSchema },
  handle: ({ backend }) => firewallOf(backend).ruleHits(),
});

export const POLICY_ROUTES: readonly Route[] = [
  read,
  exported,
  apply,
  diff,
  simulate,
  readStaged,
  stage,
  unstage,
  versions,
  readVersion,
  rollback,
  hits,
];
