/**
 * Whether a call to the outside is allowed. Pure: no input, no output, no clock, no look-up of names.
 *
 * Nothing is allowed by default. A call to a name needs a rule for that name, and each address that the name turns out
 * to have is judged again: a public one needs nothing more, any other needs a rule for a network as well. A call to an
 * address needs a rule for a network. So a name that somebody else controls can never lead to `127.0.0.1`, and a rule
 * for addresses never opens a name.
 *
 * A network opens private addresses only when it lies within them: `0.0.0.0/0:443` is every public IPv4 address,
 * `10.0.0.0/8:443` is private ones, and a metadata address needs a rule for itself.
 *
 * @module
 */

import { quoted } from "../printable.ts";
import {
  type AddressClass,
  formatAddress,
  type IpAddress,
  parseAddress,
  type RefusedBlock,
  refusedBlock,
} from "./address_class.ts";
import {
  EGRESS_RULES_MAX,
  type EgressHost,
  type EgressRule,
  EgressRuleError,
  formatEgressRule,
  formatEgressTarget,
  parseEgressHost,
  type PortRange,
} from "./egress_rule.ts";

/** What a policy says of a call. */
export type EgressVerdict = EgressAllowed | EgressRefused;

/** The call may be made. */
export interface EgressAllowed {
  readonly allowed: true;
  /** The rule that allows it, as it would be written: one of a bounded set. */
  readonly rule: string;
  /** Its place in the list, from 0. */
  readonly ruleIndex: number;
}

/** The call may not be made. */
export interface EgressRefused {
  readonly allowed: false;
  /** `badHost` and `badPort`: nothing that can be called. `noRule`: public, but not allowed. Else: why the address is not. */
  readonly cause: "badHost" | "badPort" | "noRule" | AddressClass;
  /**
   * The call, why it is refused and the rule that would allow it. For the operator: it may hold an address of the
   * gateway's own network.
   */
  readonly message: string;
}

/** The rules of one host or network by port. */
class PortTable {
  /** Port → index of the first rule. */
  readonly #single = new Map<number, number>();
  readonly #ranges: (PortRange & { readonly index: number })[] = [];

  add({ first, last }: PortRange, index: number): void {
    if (first !== last) this.#ranges.push({ first, last, index });
    else if (!this.#single.has(first)) this.#single.set(first, index);
  }

  /** @returns The index of the first rule for this port. */
  find(port: number): number | undefined {
    const single = this.#single.get(port);
    const range = this.#ranges.find(({ first, last }) => first <= port && port <= last)?.index;
    return single === undefined || range === undefined ? single ?? range : Math.min(single, range);
  }
}

/** Networks of one address family, by length and then by the bits of the network. */
class NetworkTable {
  readonly #byLength = new Map<number, Map<bigint, PortTable>>();
  /** Longest first. */
  #lengths: number[] = [];

  add(address: IpAddress, lengthBits: number, ports: PortRange, index: number): void {
    let networks = this.#byLength.get(lengthBits);
    if (networks === undefined) {
      networks = new Map();
      this.#byLength.set(lengthBits, networks);
      this.#lengths = [...this.#byLength.keys()].sort((a, b) => b - a);
    }
    tableOf(networks, address.value >> BigInt(address.bits - lengthBits)).add(ports, index);
  }

  /** The longest network that covers the address with this port. */
  find(address: IpAddress, port: number): { index: number; lengthBits: number } | undefined {
    for (const lengthBits of this.#lengths) {
      const key = address.value >> BigInt(address.bits - lengthBits);
      const index = this.#byLength.get(lengthBits)?.get(key)?.find(port);
      if (index !== undefined) return { index, lengthBits };
    }
    return undefined;
  }
}

function tableOf<Key>(tables: Map<Key, PortTable>, key: Key): PortTable {
  const table = tables.get(key) ?? new PortTable();
  tables.set(key, table);
  return table;
}

const CLASS_WORDS: Readonly<Record<RefusedBlock["class"], string>> = {
  unspecified: "an unspecified address",
  loopback: "a loopback address",
  private: "a private address",
  shared: "an address of a provider's shared network",
  "link-local": "a link-local address",
  "site-local": "a site-local address",
  multicast: "a multicast address",
  broadcast: "a broadcast address",
  metadata: "a metadata address, which can hand out the credentials of the machine",
  benchmark: "an address for benchmarks",
  documentation: "an address for documentation",
  discard: "a discard address",
  reserved: "a reserved address",
};

/**
 * The rules of a gateway, made once and asked for every call.
 *
 * @example
 * const policy = new EgressPolicy([parseEgressRule("*.example.com:443")]);
 * policy.judgeName("api.example.com", 443); // { allowed: true, rule: "*.example.com:443", ruleIndex: 0 }
 * policy.judgeAddress("api.example.com", "10.0.0.5", 443); // { allowed: false, cause: "private", … }
 */
export class EgressPolicy {
  readonly #rules: readonly EgressRule[];
  readonly #names = new Map<string, PortTable>();
  readonly #subdomains = new Map<string, PortTable>();
  readonly #anyName = new PortTable();
  readonly #networks = { 32: new NetworkTable(), 128: new NetworkTable() };

  /**
   * @param rules At most `EGRESS_RULES_MAX`. The order matters only for which rule is named; one given twice is kept.
   * @throws {EgressRuleError} There are too many.
   */
  constructor(rules: Iterable<EgressRule>) {
    const kept: EgressRule[] = [];
    for (const rule of rules) {
      if (kept.length === EGRESS_RULES_MAX) {
        throw new EgressRuleError(`too many egress rules: at most ${EGRESS_RULES_MAX}`);
      }
      this.#add(rule, kept.length);
      kept.push(rule);
    }
    this.#rules = kept;
  }

  #add(rule: EgressRule, index: number): void {
    if (rule.kind === "network") {
      const { address, lengthBits } = rule.network;
      this.#networks[address.bits].add(address, lengthBits, rule.ports, index);
    } else if (rule.kind === "anyName") this.#anyName.add(rule.ports, index);
    else tableOf(rule.kind === "name" ? this.#names : this.#subdomains, rule.name).add(rule.ports, index);
  }

  /**
   * Judges a call before its name is looked up. An address is judged whole, as no look-up follows.
   *
   * @param host What was asked for: untrusted, any spelling.
   * @param port From 1 to 65535, else refused.
   */
  judgeName(host: string, port: number): EgressVerdict {
    const parsed = parseEgressHost(host);
    if (parsed === undefined) {
      const what = `egress to ${quoted(host)} is refused`;
      return refused("badHost", `${what}: it is neither a host name nor an address in its usual form`);
    }
    return this.#judgeHost(parsed, port);
  }

  /**
   * Judges an address that a host has. All of `judgeName` is judged again with it.
   *
   * @param host What was asked for.
   * @param address What the name was resolved to, or the host itself when that is an address.
   * @param port From 1 to 65535, else refused.
   */
  judgeAddress(host: string, address: string, port: number): EgressVerdict {
    const named = this.judgeName(host, port);
    const parsedHost = parseEgressHost(host);
    if (!named.allowed || parsedHost === undefined) return named;
    const parsed = parseAddress(address);
    const what = `egress to ${formatEgressTarget(parsedHost, port)} is refused`;
    if (parsed === undefined) {
      return refused("invalid", `${what}: ${quoted(address)} is no address in its usual form`);
    }
    if (parsedHost.kind === "address") {
      const same = parsedHost.address.bits === parsed.bits && parsedHost.address.value === parsed.value;
      return same ? named : refused("invalid", `${what}: ${formatAddress(parsed)} is another address`);
    }
    const block = refusedBlock(parsed);
    if (block === undefined) return named;
    return this.#judgeBlock(parsed, block, port, `${what}: it resolves to ${formatAddress(parsed)},`);
  }

  #judgeHost(host: EgressHost, port: number): EgressVerdict {
    if (!Number.isInteger(port) || port < 1 || port > 65_535) {
      return refused("badPort", `egress to ${formatEgressTarget(host, port)} is refused: no valid port`);
    }
    const target = formatEgressTarget(host, port);
    const what = `egress to ${target} is refused`;
    if (host.kind === "name") {
      const index = this.#findName(host.name, port);
      if (index !== undefined) return this.#allowed(index);
      return refused("noRule", `${what}: no rule allows this name, add --allow-egress ${target}`);
    }
    const block = refusedBlock(host.address);
    if (block !== undefined) return this.#judgeBlock(host.address, block, port, `${what}:`);
    const found = this.#networks[host.address.bits].find(host.address, port);
    if (found !== undefined) return this.#allowed(found.index);
    return refused("noRule", `${what}: no rule allows this address, add --allow-egress ${target}`);
  }

  /** The exact name first, then the longest name above it, then `*`. */
  #findName(name: string, port: number): number | undefined {
    const exact = this.#names.get(name)?.find(port);
    if (exact !== undefined) return exact;
    if (this.#subdomains.size > 0) {
      for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1)) {
        const index = this.#subdomains.get(name.slice(dot + 1))?.find(port);
        if (index !== undefined) return index;
      }
    }
    return this.#anyName.find(port);
  }

  #judgeBlock(address: IpAddress, block: RefusedBlock, port: number, what: string): EgressVerdict {
    const found = this.#networks[address.bits].find(address, port);
    if (found !== undefined && found.lengthBits >= block.lengthBits) return this.#allowed(found.index);
    const rule = `--allow-egress ${formatEgressTarget({ kind: "address", address }, port)}`;
    const wide = found && this.#ruleText(found.index);
    // Never plain advice: a name that leads inside is more often an attack, or a mistake, than what was meant.
    const cure = `${
      wide === undefined ? "" : `${wide} is too wide to mean it, `
    }if that is meant, add ${rule}`;
    return refused(block.class, `${what} ${CLASS_WORDS[block.class]}, ${cure}`);
  }

  #allowed(index: number): EgressAllowed {
    return { allowed: true, rule: this.#ruleText(index), ruleIndex: index };
  }

  #ruleText(index: number): string {
    const rule = this.#rules[index];
    return rule === undefined ? "" : formatEgressRule(rule);
  }
}

function refused(cause: EgressRefused["cause"], message: string): EgressRefused {
  return { allowed: false, cause, message };
}
