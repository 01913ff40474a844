/**
 * Opens sockets of every kind that Bun and Deno can, audits the wall of its own network namespace, and prints what it
 * found beside what `ss` says: one line of JSON. Run by wall_live_test.ts in a namespace of its own.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import process from "node:process";
import { auditWall } from "../../lib/seal/wall.ts";

for (const [host, ipv6Only] of [["127.0.0.1"], ["0.0.0.0"], ["::"], ["::1"], ["::", true]] as const) {
  const server = createServer(() => {}).listen({ host, port: 0, ipv6Only: ipv6Only ?? false });
  await once(server, "listening");
  const address = server.address();
  // Connections on the listener's own port must not count as listeners.
  if (host === "127.0.0.1" && address !== null && typeof address === "object") {
    await once(connect(address.port, host), "connect");
  }
}
for (const [type, host] of [["udp4", "127.0.0.1"], ["udp4", "0.0.0.0"], ["udp6", "::"]] as const) {
  const socket = createSocket(type).bind(0, host);
  await once(socket, "listening");
}
// Deno connects a datagram socket in name only: for the kernel it has no peer, and takes from anyone.
if (process.versions["deno"] === undefined) {
  const connected = createSocket("udp4");
  connected.connect(9, "127.0.0.1");
  await once(connected, "connect");
}

const report = await auditWall();
const ss = execFileSync("ss", ["-Hlntuw"], { encoding: "utf8" });
process.stdout.write(`${JSON.stringify({ report, ss, pid: process.pid })}\n`, () => process.exit(0));
