/**
 * The loopback ports on which this process listens, as the kernel says: a stranger on the machine can find them too.
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** The state of a listening socket in /proc/net/tcp. Source: Linux, include/net/tcp_states.h. */
const LISTEN = "0A";

/** Ports of 127.0.0.1 on which this process listens; none on a system without /proc. */
export function ownLoopbackPorts(): Set<number> {
  const inodes = new Set<string>();
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      if (inode !== undefined) inodes.add(inode);
    } catch {
      // Closed meanwhile, such as the one of the listing itself.
    }
  }
  const rows = readFileSync("/proc/self/net/tcp", "utf8").trim().split("\n").slice(1);
  const ports = rows.map((row) => row.trim().split(/\s+/)).filter((cells) =>
    cells[3] === LISTEN && inodes.has(cells[9]!) && cells[1]!.startsWith("0100007F:")
  ).map((cells) => parseInt(cells[1]!.split(":")[1]!, 16));
  return new Set(ports);
}

/** The ports that were opened since `before`. */
export function portsSince(before: ReadonlySet<number>): number[] {
  return [...ownLoopbackPorts()].filter((port) => !before.has(port));
}
