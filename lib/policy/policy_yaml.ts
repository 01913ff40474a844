/**
 * The policy as YAML: read with the line of every fault, and written in one canonical form.
 *
 * Canonical means: keys in the order of the schema, defaults left out, lists in the order of the document. Equal
 * policies are equal texts, so that a version control system shows only what was changed. JSON is read as well.
 *
 * @module
 */
import { parseYamlText, YAML_DEPTH_MAX, YamlError, type YamlText } from "../yaml_text.ts";
import {
  type ModelEdge,
  POLICY_API_VERSION,
  POLICY_BYTES_MAX,
  type PolicyDocument,
  type PolicyMode,
  type PolicyRule,
  policySchema,
  type RateLimitRule,
} from "./document.ts";
import { faultsOf, PolicyError } from "./policy_fault.ts";
import { writeYaml } from "./yaml_writer.ts";

/**
 * Brackets that may be open in a text. More than a policy has levels, as comments and paths can hold single ones; the
 * levels themselves are counted once it is parsed. At some 900 the parser runs out of stack on one of the runtimes.
 */
const BRACKETS_MAX = 200;

/**
 * Reads a policy.
 *
 * A large text in YAML takes long, some 0.4 s for each MiB, in which nothing else runs; one in JSON does not.
 *
 * @param text YAML or JSON, at most `POLICY_BYTES_MAX` bytes of UTF-8.
 * @returns The document with its defaults.
 * @throws {PolicyError} With all that is wrong, at most `POLICY_FAULTS_MAX` of it.
 */
export function parsePolicy(text: string): PolicyDocument {
  // Cheap for most texts: no character has more than three bytes per unit.
  if (text.length * 3 > POLICY_BYTES_MAX && new TextEncoder().encode(text).length > POLICY_BYTES_MAX) {
    throw whole(`too large: at most ${POLICY_BYTES_MAX >> 20} MiB, leave out what was learned (model)`);
  }
  const plain = fromJson(text);
  const fast = plain === undefined ? undefined : policySchema.safeParse(plain);
  if (fast?.success) return fast.data;
  if (fast !== undefined && text.length > LINES_CHARS_MAX) {
    throw new PolicyError(faultsOf(fast.error.issues, () => undefined, plain));
  }
  const { root, lineOf } = parsed(text);
  if (root === null) throw whole(`is empty: begin with apiVersion: ${POLICY_API_VERSION}`, 1);
  const result = policySchema.safeParse(root);
  if (!result.success) throw new PolicyError(faultsOf(result.error.issues, lineOf, root));
  return result.data;
}

/** Of a longer text in JSON the faults have no lines: the reader that knows them takes seconds for it. */
const LINES_CHARS_MAX = 1 << 20;

/** A string of JSON, and the colon that makes it a key. */
const JSON_STRING = /"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?/g;

/**
 * Reads JSON, some fifty times as fast as it is read as YAML.
 *
 * @returns Nothing when it is none, too deep, or has a key twice, of which this reader would drop one without a word.
 */
function fromJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return undefined;
  }
  let keys = 0;
  for (const found of text.matchAll(JSON_STRING)) if (found[1] !== undefined) keys += 1;
  return keysIn(root, 1) === keys ? root : undefined;
}

/** How many keys there are at all levels; no number when there are too many levels. */
function keysIn(value: unknown, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (depth > YAML_DEPTH_MAX) return NaN;
  let keys = 0;
  for (const below of Object.values(value)) keys += keysIn(below, depth + 1);
  return Array.isArray(value) ? keys : keys + Object.keys(value).length;
}

function parsed(text: string): YamlText {
  try {
    return parseYamlText(text, { bracketsMax: BRACKETS_MAX });
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw whole(error.message, error.line, error);
  }
}

function whole(message: string, line?: number, cause?: unknown): PolicyError {
  return new PolicyError([{ line, path: "", message }], cause === undefined ? {} : { cause });
}

const HEADER = `# Policy of a netwall gateway.
#
#   netwall-gateway policy diff FILE       shows what it would change
#   netwall-gateway policy simulate FILE   tries it on the traffic of late
#   netwall-gateway policy apply FILE      puts it in force
#
# The first rule that matches both ends decides. Else what was learned passes, and the mode says what happens to the
# rest: learn remembers it, alert forwards it with an event, prevent refuses it with an event.
`;

/**
 * Writes a policy. Reading the text again gives an equal document.
 *
 * @param document With its defaults, as the schema gives it.
 */
export function formatPolicy(document: PolicyDocument): string {
  return HEADER + writeYaml(plainPolicy(document));
}

/** The document without defaults, its keys in order: what is written, and what JSON of a policy should be made of. */
export function plainPolicy({ metadata, spec, model }: PolicyDocument): object {
  return given({
    apiVersion: POLICY_API_VERSION,
    kind: "Policy",
    metadata: filled({ name: unless(metadata.name, "policy"), comment: metadata.comment }),
    spec: given({
      defaultMode: spec.defaultMode,
      networks: filled(spec.networks),
      modes: some(spec.modes.map(plainMode)),
      rules: some(spec.rules.map(plainRule)),
      rateLimits: some(spec.rateLimits.map(plainLimit)),
    }),
    model: model && { edges: model.edges.map(plainEdge) },
  });
}

function plainMode({ namespace, image, direction, mode, origin }: PolicyMode): object {
  return given({ namespace, image, direction, mode, origin: unless(origin, "manual") });
}

function plainRule(rule: PolicyRule): object {
  const { http, source, destination } = rule;
  return given({
    id: rule.id,
    comment: rule.comment,
    enabled: unless(rule.enabled, true),
    direction: rule.direction,
    source: filled(ordered(source, ["network", "cidr", "namespace", "image"])),
    destination: filled(
      ordered(destination, ["host", "cidr", "namespace", "image", "service", "ports"]),
    ),
    protocol: rule.protocol,
    http: http && ordered(http, ["hosts", "methods", "paths", "contentTypes"]),
    effect: rule.effect,
    allowLearned: unless(rule.allowLearned, false),
    expires: rule.expires,
  });
}

function plainLimit(limit: RateLimitRule): object {
  return given({
    id: limit.id,
    service: limit.service,
    requests: limit.requests,
    seconds: unless(limit.seconds, 1),
    burst: limit.burst,
    banSeconds: unless(limit.banSeconds, 0),
  });
}

function plainEdge(edge: ModelEdge): object {
  return given({
    direction: edge.direction,
    source: edge.source,
    destination: edge.destination,
    service: edge.service,
    host: edge.host,
    port: edge.port,
    protocol: edge.protocol,
    operations: edge.operations,
    origin: unless(edge.origin, "learned"),
  });
}

/** Leaves out what has no value. */
function given(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

function ordered(fields: object, keys: readonly string[]): object {
  return given(Object.fromEntries(keys.map((key) => [key, (fields as Record<string, unknown>)[key]])));
}

function unless<Value>(value: Value, standard: Value): Value | undefined {
  return value === standard ? undefined : value;
}

function some<Item>(list: readonly Item[]): readonly Item[] | undefined {
  return list.length === 0 ? undefined : list;
}

function filled(fields: object): object | undefined {
  const kept = given(fields as Record<string, unknown>);
  return Object.keys(kept).length === 0 ? undefined : kept;
}
