/**
 * The rules of a policy by their ends, so that a verdict looks only at those that can match.
 *
 * A rule lies in one list for its destination, its source and, when it names few paths, the literals that each path
 * begins with. A flow has a handful of keys on either side; the lists under them hold every rule that matches its ends,
 * and each list is in the order of the document.
 *
 * @module
 */
import { type IpAddress, parseAddress } from "../egress/address_class.ts";
import { assert } from "../assert.ts";
import { type CompiledRule, compileRule, type RequestReader } from "./compiled_rule.ts";
import type { PolicyRule } from "./document.ts";
import type { Destination, Group } from "./flow.ts";
import { canonicalHost, labelCount, namesAbove, suffixOf } from "./host_pattern.ts";
import { CidrTable, parseCidr } from "./networks.ts";
import { literalsOf } from "./path_pattern.ts";

/** A rule with more ports, or more paths, lies in one list for all of them: else one rule could fill thousands. */
const KEYS_PER_RULE_MAX = 8;

/** Who sends, as the index looks it up. */
export type SourceKey =
  | { readonly kind: "group"; readonly group: Group }
  | { readonly kind: "outside"; readonly network: string; readonly address: IpAddress | undefined };

/** Takes rules in the order of the document, out of one list. */
export type Visit = (rules: readonly CompiledRule[]) => void;

/** Rules of two ends. */
class PathLists {
  readonly #plain: CompiledRule[] = [];
  readonly #byPrefix = new Map<string, CompiledRule[]>();
  readonly #depths: number[] = [];

  add(rule: CompiledRule): void {
    const paths = rule.http?.paths;
    if (paths === undefined || paths.length > KEYS_PER_RULE_MAX) {
      this.#plain.push(rule);
      return;
    }
    for (const pattern of paths) {
      const literals = literalsOf(pattern);
      const key = `${literals.length}/${literals.join("/")}`;
      const list = entry(this.#byPrefix, key, () => []);
      if (list.at(-1) !== rule) list.push(rule);
      if (!this.#depths.includes(literals.length)) this.#depths.push(literals.length);
    }
  }

  visit(request: RequestReader | undefined, visit: Visit): void {
    if (this.#plain.length > 0) visit(this.#plain);
    if (request === undefined || this.#depths.length === 0) return;
    const count = request.readings().length;
    // What may mean anything may begin with anything.
    if (count === 0) { for (const list of this.#byPrefix.values()) visit(list); }
    for (let reading = 0; reading < count; reading += 1) {
      for (const depth of this.#depths) {
        const key = request.prefixKey(reading, depth);
        const list = key === undefined ? undefined : this.#byPrefix.get(key);
        if (list !== undefined) visit(list);
      }
    }
  }
}

/** Rules of one destination. */
class SourceLists {
  readonly #byKey = new Map<string, PathLists>();
  #cidrs: CidrTable<PathLists> | undefined;

  add(rule: CompiledRule, source: PolicyRule["source"]): void {
    if ("cidr" in source) {
      const cidr = parseCidr(source.cidr);
      assert(cidr !== undefined, "the source of a rule is a network");
      this.#cidrs ??= new CidrTable();
      this.#cidrs.at(cidr, () => new PathLists()).add(rule);
      return;
    }
    const key = "network" in source
      ? networkKey(source.network)
      : workloadKey(source.namespace, source.image);
    entry(this.#byKey, key, () => new PathLists()).add(rule);
  }

  seal(): void {
    this.#cidrs?.seal();
  }

  visit(source: SourceKey, request: RequestReader | undefined, visit: Visit): void {
    this.#byKey.get(ANY)?.visit(request, visit);
    if (source.kind === "group") {
      const { namespace, image } = source.group;
      this.#byKey.get(workloadKey(namespace, undefined))?.visit(request, visit);
      this.#byKey.get(workloadKey(undefined, image))?.visit(request, visit);
      this.#byKey.get(workloadKey(namespace, image))?.visit(request, visit);
      return;
    }
    this.#byKey.get(networkKey(source.network))?.visit(request, visit);
    if (this.#cidrs === undefined || source.address === undefined) return;
    for (let node = this.#cidrs.deepest(source.address); node !== undefined; node = node.parent) {
      node.value.visit(request, visit);
    }
  }
}

/** Rules of one host or network, by port. */
class PortLists {
  readonly #every = new SourceLists();
  readonly #byPort = new Map<number, SourceLists>();

  listsOf(ports: readonly number[] | undefined): SourceLists[] {
    if (ports === undefined || ports.length > KEYS_PER_RULE_MAX) return [this.#every];
    return [...new Set(ports)].map((port) => entry(this.#byPort, port, () => new SourceLists()));
  }

  visit(port: number, source: SourceKey, request: RequestReader | undefined, visit: Visit): void {
    this.#every.visit(source, request, visit);
    this.#byPort.get(port)?.visit(source, request, visit);
  }
}

/** All enabled rules of a policy. */
export class RuleIndex {
  /** No rule is enabled: there is nothing to look up. */
  readonly isEmpty: boolean;
  readonly #any = new SourceLists();
  readonly #services = new Map<string, SourceLists>();
  /** Which of namespace, image and service the keys of `#services` are made of. */
  readonly #shapes = new Set<number>();
  readonly #hosts = new Map<string, PortLists>();
  readonly #suffixes = new Map<string, PortLists>();
  #suffixLabelsMax = 0;
  readonly #cidrs = new CidrTable<PortLists>();

  /** @param rules As in the document, those that are disabled too: they have a place as well. */
  constructor(rules: readonly PolicyRule[]) {
    this.isEmpty = rules.every(({ enabled }) => !enabled);
    const sealed = new Set<SourceLists>();
    for (const [position, rule] of rules.entries()) {
      if (!rule.enabled) continue;
      const compiled = compileRule(rule, position);
      for (const lists of this.#listsOf(rule.destination)) {
        lists.add(compiled, rule.source);
        sealed.add(lists);
      }
    }
    this.#cidrs.seal();
    for (const lists of sealed) lists.seal();
  }

  #listsOf(destination: PolicyRule["destination"]): SourceLists[] {
    if ("host" in destination) {
      const suffix = suffixOf(destination.host);
      if (suffix === undefined) {
        const host = canonicalHost(destination.host).text;
        return entry(this.#hosts, host, () => new PortLists()).listsOf(destination.ports);
      }
      this.#suffixLabelsMax = Math.max(this.#suffixLabelsMax, labelCount(suffix));
      return entry(this.#suffixes, suffix, () => new PortLists()).listsOf(destination.ports);
    }
    if ("cidr" in destination) {
      const cidr = parseCidr(destination.cidr);
      assert(cidr !== undefined, "the destination of a rule is a network");
      return this.#cidrs.at(cidr, () => new PortLists()).listsOf(destination.ports);
    }
    const { namespace, image, service } = destination;
    const shape = (namespace === undefined ? 0 : 1) + (image === undefined ? 0 : 2) +
      (service === undefined ? 0 : 4);
    if (shape === 0) return [this.#any];
    this.#shapes.add(shape);
    return [entry(this.#services, serviceKey(namespace, image, service), () => new SourceLists())];
  }

  /**
   * Shows every rule whose ends match, some of them more than once and some that only may match by their path.
   *
   * @param request Of an HTTP flow: without it, rules with paths are left out, as they never match then.
   */
  visit(source: SourceKey, to: Destination, request: RequestReader | undefined, visit: Visit): void {
    this.#any.visit(source, request, visit);
    if (to.kind === "service") {
      const { namespace, image } = to.group;
      for (const shape of this.#shapes) {
        const key = serviceKey(
          shape & 1 ? namespace : undefined,
          shape & 2 ? image : undefined,
          shape & 4 ? to.service : undefined,
        );
        this.#services.get(key)?.visit(source, request, visit);
      }
      return;
    }
    const host = canonicalHost(to.host);
    this.#hosts.get(host.text)?.visit(to.port, source, request, visit);
    for (const name of namesAbove(host, this.#suffixLabelsMax)) {
      this.#suffixes.get(name)?.visit(to.port, source, request, visit);
    }
    const address = host.address ?? (to.address === undefined ? undefined : parseAddress(to.address));
    if (address === undefined) return;
    for (let node = this.#cidrs.deepest(address); node !== undefined; node = node.parent) {
      node.value.visit(to.port, source, request, visit);
    }
  }
}

/** Images are last in a key: they alone may hold the separator. */
const ANY = workloadKey(undefined, undefined);

function workloadKey(namespace: string | undefined, image: string | undefined): string {
  return `${namespace ?? ""}|${image ?? ""}`;
}

/** A name of a network has no blank, nor has a namespace: so no image can make the same key. */
function networkKey(network: string): string {
  return ` ${network}`;
}

function serviceKey(
  namespace: string | undefined,
  image: string | undefined,
  service: string | undefined,
): string {
  return `${namespace ?? ""}|${service ?? ""}|${image ?? ""}`;
}

function entry<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
