/**
 * A long and lossy line between the container and the router.
 *
 * With the kernel's `netem` where it is there. Many kernels are built without it: then the router sends the packets of
 * both directions through a TUN device, and a process beside it holds each for as long as the line is. Both delay
 * packets, not bytes, so TCP sees the round trip and the loss as it would on a real line.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { bunBinary, type ProcessGroup, ROOT } from "../support/processes.ts";
import { ADDRESSES, type Lab } from "./lab.ts";

/** What the line does to packets. Half of the delay is on each way; the loss is on each way too. */
export interface Line {
  readonly roundTripMs: number;
  readonly lossPercent: number;
}

/** The device of the second form. */
const DEVICE = "nw-line";

/** The routing table that leads into it. */
const TABLE = "71";

/** Puts the line in and gives what takes it out again, or why there is none. */
export async function delayLine(
  lab: Lab,
  group: ProcessGroup,
  line: Line,
): Promise<(() => void) | { readonly reason: string }> {
  const oneWay = ["netem", "delay", `${line.roundTripMs / 2}ms`, "loss", `${line.lossPercent}%`];
  try {
    lab.run("router", ["tc", "qdisc", "add", "dev", "to-container", "root", ...oneWay]);
  } catch {
    return await tunLine(lab, group, line);
  }
  lab.run("container", ["tc", "qdisc", "add", "dev", "eth0", "root", ...oneWay]);
  return () => {
    lab.run("router", ["tc", "qdisc", "del", "dev", "to-container", "root"]);
    lab.run("container", ["tc", "qdisc", "del", "dev", "eth0", "root"]);
  };
}

async function tunLine(
  lab: Lab,
  group: ProcessGroup,
  line: Line,
): Promise<(() => void) | { readonly reason: string }> {
  if (!existsSync("/dev/net/tun")) return { reason: "neither netem nor /dev/net/tun is here" };
  const script = join(ROOT, "test", "chaos", "delay_tun.ts");
  const args = [DEVICE, String(line.roundTripMs / 2), String(line.lossPercent)];
  const tun = group.start(lab.argv("router", [bunBinary(), script, ...args]));
  await tun.ready;
  const ip = (...words: string[]): string => lab.run("router", ["ip", ...words]);
  ip("link", "set", DEVICE, "up");
  // A packet that comes back out of the device has not come from the container: it goes on by the main table.
  lab.setKernel("router", `ipv4/conf/${DEVICE}/rp_filter`, 0);
  ip("route", "add", "default", "dev", DEVICE, "table", TABLE);
  ip("rule", "add", "iif", "to-container", "lookup", TABLE);
  ip("rule", "add", "iif", "to-gateway", "to", ADDRESSES.container, "lookup", TABLE);
  return () => {
    ip("rule", "del", "iif", "to-container", "lookup", TABLE);
    ip("rule", "del", "iif", "to-gateway", "to", ADDRESSES.container, "lookup", TABLE);
    tun.kill();
  };
}
