/**
 * Whom a quota of learning is counted for.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { parseAddress } from "../egress/address_class.ts";
import type { Flow } from "./flow.ts";
import type { Owner } from "./route_node.ts";

/** A key is so much of a hash, in characters: long names take no more room than short ones. */
const OWNER_KEY_CHARS = 16;

/**
 * Who a quota is counted for. An IPv6 visitor has a whole network of 64 bits to choose addresses from, so it counts
 * as one.
 */
export function ownerOf({ source }: Flow, quotaKey: string): Owner {
  const isVisitor = source.kind === "outside";
  const address = isVisitor ? parseAddress(quotaKey) : undefined;
  const name = address === undefined
    ? quotaKey
    : address.bits === 128
    ? `${address.value >> 64n}/64`
    : `${address.value}`;
  const text = `${isVisitor ? "visitor" : "agent"} ${name}`;
  return { key: createHash("sha256").update(text).digest("hex").slice(0, OWNER_KEY_CHARS), isVisitor };
}
