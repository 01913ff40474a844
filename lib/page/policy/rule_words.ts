/**
 * Rules in words, and which of them are shown.
 *
 * @module
 */
import { duration, moment } from "../core/format.ts";
import type { PolicyRule } from "../core/types.ts";

/** Such as `shop/web`, `network office`, `anyone`. */
export function sourceWords(source: PolicyRule["source"]): string {
  if ("network" in source) return `network ${source.network}`;
  if ("cidr" in source) return source.cidr;
  return groupWords(source) ?? "anyone";
}

/** Such as `shop/api, service users`, `api.example.com:443`, `anywhere`. */
export function destinationWords(destination: PolicyRule["destination"]): string {
  if ("host" in destination) {
    const { host, ports } = destination;
    if (ports?.length === 1) return host.includes(":") ? `[${host}]:${ports[0]}` : `${host}:${ports[0]}`;
    return host + portWords(ports);
  }
  if ("cidr" in destination) return destination.cidr + portWords(destination.ports);
  const group = groupWords(destination);
  if (destination.service === undefined) return group ?? "anywhere";
  return group === undefined ? `service ${destination.service}` : `${group}, service ${destination.service}`;
}

function groupWords(
  { namespace, image }: { readonly namespace?: string | undefined; readonly image?: string | undefined },
): string | undefined {
  if (namespace === undefined && image === undefined) return undefined;
  return image === undefined ? `${namespace}/*` : `${namespace ?? "*"}/${image}`;
}

function portWords(ports: readonly number[] | undefined): string {
  if (ports === undefined) return "";
  return ` ${ports.length === 1 ? "port" : "ports"} ${ports.join(", ")}`;
}

/** Conditions on the request, one a line; none when there are none. */
export function httpWords(http: PolicyRule["http"]): string[] {
  if (http === undefined) return [];
  const { methods, paths, hosts, contentTypes } = http;
  const types = contentTypes?.map((type) => type === "" ? "none named" : type);
  return [
    ...(methods === undefined ? [] : [methods.join(", ")]),
    ...(paths === undefined ? [] : [`path ${either(paths)}`]),
    ...(hosts === undefined ? [] : [`host ${either(hosts)}`]),
    ...(types === undefined ? [] : [`content type ${either(types)}`]),
  ];
}

function either(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}

export type Expiry = { readonly state: "running" | "expired"; readonly words: string; readonly at: string };

/** When a rule ends, or ended; `undefined` when it never does. */
export function expiryOf(rule: PolicyRule, nowMs: number): Expiry | undefined {
  if (rule.expires === undefined) return undefined;
  const endMs = Date.parse(rule.expires);
  const at = moment(endMs);
  return endMs > nowMs
    ? { state: "running", words: `${duration(endMs - nowMs)} left`, at }
    : { state: "expired", words: `expired ${duration(nowMs - endMs)} ago`, at };
}

/** Which rules are shown. */
export const RULE_FILTERS = ["all", "active", "off", "expired", "unused"] as const;
export type RuleFilter = (typeof RULE_FILTERS)[number];

export interface RuleQuery {
  readonly text: string;
  readonly only: RuleFilter;
  readonly nowMs: number;
  /** Ids of rules that have matched; `undefined` when it is not known. */
  readonly used: ReadonlySet<string> | undefined;
}

/** Places of the rules that are looked for, in order. */
export function findRules(rules: readonly PolicyRule[], query: RuleQuery): number[] {
  const words = query.text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return rules.flatMap((rule, index) => {
    if (!isOf(rule, query)) return [];
    const text = words.length === 0 ? "" : textOf(rule);
    return words.every((word) => text.includes(word)) ? [index] : [];
  });
}

function isOf(rule: PolicyRule, { only, nowMs, used }: RuleQuery): boolean {
  const isExpired = expiryOf(rule, nowMs)?.state === "expired";
  if (only === "active") return rule.enabled && !isExpired;
  if (only === "off") return !rule.enabled;
  if (only === "expired") return isExpired;
  return only === "all" || used === undefined || !used.has(rule.id);
}

function textOf(rule: PolicyRule): string {
  return [
    ...[rule.id, rule.comment ?? "", rule.effect, rule.direction ?? "", rule.protocol ?? ""],
    ...[sourceWords(rule.source), destinationWords(rule.destination), ...httpWords(rule.http)],
  ].join(" ").toLowerCase();
}
