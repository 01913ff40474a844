/**
 * One rule made ready to be matched: everything of it but its two ends, which the index has looked up already.
 *
 * @module
 */
import { assert } from "../assert.ts";
import type { PolicyRule } from "./document.ts";
import type { Direction, Effect, Flow, HttpRequestFacts, Protocol } from "./flow.ts";
import { canonicalHost, HostPatterns } from "./host_pattern.ts";
import {
  matchPaths,
  parsePathPattern,
  type PathMatch,
  type PathPattern,
  type PathReading,
  readPath,
} from "./path_pattern.ts";

/** A rule at its place. */
export interface CompiledRule {
  /** From 0, as in the document. */
  readonly position: number;
  readonly id: string;
  readonly effect: Effect;
  readonly allowLearned: boolean;
  /** It matches nothing from this time on. */
  readonly expiresMs: number;
  readonly direction: Direction | undefined;
  readonly protocol: Protocol | undefined;
  /** Of a host outside. */
  readonly ports: readonly number[] | undefined;
  readonly http: CompiledHttp | undefined;
}

export interface CompiledHttp {
  readonly hosts: HostPatterns | undefined;
  readonly methods: ReadonlySet<string> | undefined;
  readonly paths: readonly PathPattern[] | undefined;
  /** Types, and `type/*` for all of one kind. */
  readonly contentTypes: ReadonlySet<string> | undefined;
}

/** @param position Its place in the document. */
export function compileRule(rule: PolicyRule, position: number): CompiledRule {
  const expiresMs = rule.expires === undefined ? Infinity : Date.parse(rule.expires);
  assert(!Number.isNaN(expiresMs), "the expiry of a rule is a time");
  return {
    position,
    id: rule.id,
    effect: rule.effect,
    allowLearned: rule.allowLearned && rule.effect !== "allow",
    expiresMs,
    direction: rule.direction,
    protocol: rule.protocol,
    ports: "ports" in rule.destination ? rule.destination.ports : undefined,
    http: rule.http && compileHttp(rule.http),
  };
}

function compileHttp({ hosts, methods, paths, contentTypes }: NonNullable<PolicyRule["http"]>): CompiledHttp {
  return {
    hosts: hosts && new HostPatterns(hosts),
    methods: methods && new Set(methods),
    paths: paths?.map((text) => {
      const pattern = parsePathPattern(text);
      assert(pattern !== undefined, "the path of a rule is a pattern");
      return pattern;
    }),
    contentTypes: contentTypes && new Set(contentTypes),
  };
}

/** A request whose path is read when the first rule asks for it. */
export class RequestReader {
  #readings: readonly PathReading[] | undefined;
  readonly #prefixKeys: string[][] = [];

  constructor(readonly facts: HttpRequestFacts) {}

  readings(): readonly PathReading[] {
    return this.#readings ??= readPath(this.facts.path);
  }

  /** How a reading begins, in lower case, as the index has it: `2/api/users`. Nothing when it is shorter. */
  prefixKey(reading: number, depth: number): string | undefined {
    const loose = this.readings()[reading]!.loose;
    if (depth > loose.length) return undefined;
    const keys = this.#prefixKeys[reading] ??= [];
    return keys[depth] ??= `${depth}/${loose.slice(0, depth).join("/")}`;
  }
}

/**
 * Whether a rule is about a flow whose ends match already. `some` when that depends on how the target reads the content
 * type or the path.
 *
 * @param request Of an HTTP flow.
 */
export function matchRule(
  rule: CompiledRule,
  flow: Flow,
  request: RequestReader | undefined,
  nowMs: number,
): PathMatch {
  if (rule.direction !== undefined && rule.direction !== flow.direction) return "none";
  if (rule.protocol !== undefined && rule.protocol !== flow.protocol) return "none";
  if (nowMs >= rule.expiresMs) return "none";
  if (rule.ports !== undefined) {
    if (flow.destination.kind !== "host" || !rule.ports.includes(flow.destination.port)) return "none";
  }
  if (rule.http === undefined) return "all";
  if (request === undefined) return "none";
  const { hosts, methods, paths, contentTypes } = rule.http;
  const { method, host, contentType } = request.facts;
  if (methods !== undefined && !methods.has(method)) return "none";
  const type = contentTypes === undefined ? "all" : matchContentType(contentTypes, contentType);
  if (type === "none") return "none";
  if (hosts !== undefined && !hosts.has(canonicalHost(host))) return "none";
  const path = paths === undefined ? "all" : matchPaths(paths, request.readings());
  return path === "all" ? type : path;
}

/** Of several types in one request some targets take the first and some the last: it may be each of them. */
function matchContentType(wanted: ReadonlySet<string>, type: string): PathMatch {
  if (!type.includes(",")) return hasContentType(wanted, type) ? "all" : "none";
  return type.split(",").some((each) => hasContentType(wanted, each.trim())) ? "some" : "none";
}

function hasContentType(wanted: ReadonlySet<string>, type: string): boolean {
  return wanted.has(type) || (type.includes("/") && wanted.has(`${type.slice(0, type.indexOf("/"))}/*`));
}
