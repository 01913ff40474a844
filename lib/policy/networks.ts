/**
 * Networks by their addresses: which ones an address lies in, the longest first.
 *
 * Two networks never overlap in part: one holds the other or they have nothing in common. So they are sorted by their
 * first address, and the last one that begins at or before an address either holds it or lies in what holds it. A
 * look-up is one binary search and a walk outwards, however many networks there are.
 *
 * Source: RFC 4632 §3.1 (prefixes), RFC 4291 §2.5.5.2 (IPv4-mapped addresses are read as IPv4).
 *
 * @module
 */
import { type IpAddress, parseAddress } from "../egress/address_class.ts";
import { INTERNET } from "./flow.ts";

/** A network: all addresses of one family from `first` to `last`. */
export interface Cidr {
  readonly bits: 32 | 128;
  readonly first: bigint;
  readonly last: bigint;
}

/** A network in a table, with what is kept for it. */
export interface CidrNode<Value> {
  readonly cidr: Cidr;
  readonly value: Value;
  /** The next longer one that holds it. */
  parent: CidrNode<Value> | undefined;
}

/**
 * Reads a network such as `10.0.0.0/8`. Address bits beyond the length are dropped, as routers do.
 *
 * @returns `undefined` when it is none.
 */
export function parseCidr(text: string): Cidr | undefined {
  const at = text.indexOf("/");
  const address = at < 0 ? undefined : parseAddress(text.slice(0, at));
  const written = text.slice(at + 1);
  if (address === undefined || !/^(?:0|[1-9]\d{0,2})$/.test(written) || Number(written) > address.bits) {
    return undefined;
  }
  const hostBits = BigInt(address.bits - Number(written));
  const first = address.value >> hostBits << hostBits;
  return { bits: address.bits, first, last: first + (1n << hostBits) - 1n };
}

/** Values by network. It is filled first, then sealed, then asked. */
export class CidrTable<Value> {
  readonly #byKey = new Map<string, CidrNode<Value>>();
  readonly #sorted: Record<32 | 128, CidrNode<Value>[]> = { 32: [], 128: [] };

  /** The value of a network, made when there is none yet. */
  at(cidr: Cidr, make: () => Value): Value {
    const key = `${cidr.bits}/${cidr.first}/${cidr.last}`;
    let node = this.#byKey.get(key);
    if (node === undefined) {
      node = { cidr, value: make(), parent: undefined };
      this.#byKey.set(key, node);
    }
    return node.value;
  }

  /** Sorts what was put in. Needed once, before the first `deepest`. */
  seal(): void {
    for (const bits of [32, 128] as const) {
      const sorted = [...this.#byKey.values()].filter(({ cidr }) => cidr.bits === bits).sort((a, b) =>
        a.cidr.first !== b.cidr.first
          ? (a.cidr.first < b.cidr.first ? -1 : 1)
          : (a.cidr.last > b.cidr.last ? -1 : 1)
      );
      const open: CidrNode<Value>[] = [];
      for (const node of sorted) {
        while (open.length > 0 && open.at(-1)!.cidr.last < node.cidr.first) open.pop();
        node.parent = open.at(-1);
        open.push(node);
      }
      this.#sorted[bits] = sorted;
    }
  }

  /** The smallest network that an address lies in; its parents are all the others. */
  deepest(address: IpAddress): CidrNode<Value> | undefined {
    const sorted = this.#sorted[address.bits];
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = low + high >> 1;
      if (sorted[middle]!.cidr.first <= address.value) low = middle + 1;
      else high = middle;
    }
    let node = sorted[low - 1];
    while (node !== undefined && node.cidr.last < address.value) node = node.parent;
    return node;
  }
}

/** The named networks of a policy. */
export class NetworkNames {
  readonly #table = new CidrTable<string>();

  /** @param networks By name. Of equal networks the first in the document has the name. */
  constructor(networks: Readonly<Record<string, readonly string[]>>) {
    for (const [name, cidrs] of Object.entries(networks)) {
      for (const text of cidrs) {
        const cidr = parseCidr(text);
        if (cidr !== undefined) this.#table.at(cidr, () => name);
      }
    }
    this.#table.seal();
  }

  /** The name of the longest network that holds an address; `internet` when none does or there is no address. */
  nameOf(address: IpAddress | undefined): string {
    return (address && this.#table.deepest(address)?.value) ?? INTERNET;
  }
}
