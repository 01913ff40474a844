/**
 * The audit of the wall: every socket in this network namespace that takes connections or datagrams from others.
 *
 * The wall is whole when nothing listens beyond loopback. The tables cover the whole namespace, so the application's
 * sockets count as much as the agent's own. What cannot be read is a fault and makes the wall unknown: a listener
 * that was not seen is no proof that there is none.
 *
 * What the tables do not hold, and so is not seen: other network namespaces, AF_VSOCK (between a virtual machine and
 * its host) and AF_PACKET sockets. Binding to one interface is not seen either, so a socket on 0.0.0.0 bound to `lo`
 * counts as reachable. SCTP has a table of another shape: an endpoint in it is a fault.
 *
 * Source: proc_pid_net(5).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type FileHandle, open, stat } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { quoted } from "../printable.ts";
import { type ListeningSocket, SOCKET_TABLES, type SocketProtocol, SocketTableReader } from "./listeners.ts";
import { type SocketOwner, socketOwners } from "./owners.ts";

/** Listeners that a report names; more are counted only. */
export const LISTENERS_MAX = 1_024;
/** Of one table this much is read, about 400,000 sockets; more is a fault. */
export const TABLE_BYTES_MAX = 64 << 20;
/** The kernel gives about 4 KiB at a time, whatever is asked for. */
const READ_BYTES = 64 << 10;
/** The only fault where Deno has not every permission: no table could be read, and one sentence says it. */
export const DENO_FAULT = "Deno runs without --allow-all and cannot read /proc: the wall is unknown";
/** In the list of multicast groups, the line of `lo` and the lines of the groups of any interface. */
const IGMP_LO = /^\d+\tlo *:/;
const IGMP_GROUP = /^\t+[0-9A-F]{8} /;

/**
 * `whole`: every table was read and nothing can be reached from outside. `broken`: something can. `unknown`: nothing
 * was seen that can, but not everything could be read.
 */
export type WallState = "whole" | "broken" | "unknown";

/**
 * From where a listener can be reached. `no-network`: its address is not loopback, but no interface other than `lo` is
 * up, so nobody outside can reach it now; they could as soon as the namespace got a network.
 */
export type Reach = "loopback" | "outside" | "no-network";

/** A listening socket, from where it can be reached, and who holds it. */
export interface Listener extends Omit<ListeningSocket, "loopback"> {
  readonly reach: Reach;
  readonly owner: SocketOwner;
}

/** What the audit found. */
export interface WallReport {
  readonly state: WallState;
  /** At most LISTENERS_MAX, those that can be reached from outside first. */
  readonly listeners: readonly Listener[];
  /** How many there are, named or not. */
  readonly listenersTotal: number;
  /** How many of them can be reached from outside. */
  readonly exposedTotal: number;
  /** What could not be read or understood, one line each, at most one for each file. */
  readonly faults: readonly string[];
}

export interface AuditOptions {
  /** Where the proc file system is. @default "/proc" */
  readonly proc?: string;
  /** Names of interfaces, for a kernel that does not list which are up. @default those of `os.networkInterfaces()` */
  readonly interfaces?: () => Iterable<string>;
}

/** What one audit gathers. */
interface Findings {
  readonly loopback: ListeningSocket[];
  readonly beyond: ListeningSocket[];
  loopbackTotal: number;
  beyondTotal: number;
  readonly faults: string[];
}

/**
 * Looks at every listening socket of this network namespace.
 *
 * Does its work in slices of some milliseconds, so that a busy agent goes on. Never rejects: what fails is a fault
 * in the report.
 */
export async function auditWall(options: AuditOptions = {}): Promise<WallReport> {
  const { proc = "/proc", interfaces = (): string[] => Object.keys(networkInterfaces()) } = options;
  if (await isDeniedByDeno(`${proc}/self/net`)) {
    return { state: "unknown", listeners: [], listenersTotal: 0, exposedTotal: 0, faults: [DENO_FAULT] };
  }
  const found: Findings = { loopback: [], beyond: [], loopbackTotal: 0, beyondTotal: 0, faults: [] };
  const net = await exists(`${proc}/self/net`, found) ? `${proc}/self/net` : `${proc}/net`;
  const hasIpv6 = await exists(`${net}/if_inet6`, found);
  for (const protocol of SOCKET_TABLES) await readTable(net, protocol, hasIpv6, found);
  await readSctp(net, found);

  const beyond: Reach = found.beyondTotal > 0 && await hasNetwork(net, interfaces, found)
    ? "outside"
    : "no-network";
  const sockets = [
    ...found.beyond.map((socket) => ({ socket, reach: beyond })),
    ...found.loopback.map((socket) => ({ socket, reach: "loopback" as Reach })),
  ].slice(0, LISTENERS_MAX);
  const owners = await socketOwners(proc, sockets.map(({ socket }) => socket.inode));
  const listeners = sockets.map(({ socket, reach }): Listener => {
    const { loopback: _, ...rest } = socket;
    return { ...rest, reach, owner: owners.get(socket.inode) ?? { kind: "unknown" } };
  });
  const exposedTotal = beyond === "outside" ? found.beyondTotal : 0;
  const state = exposedTotal > 0 ? "broken" : found.faults.length > 0 ? "unknown" : "whole";
  const listenersTotal = found.beyondTotal + found.loopbackTotal;
  return { state, listeners, listenersTotal, exposedTotal, faults: found.faults };
}

/** Whether the permissions of Deno are in the way; below `/proc` they are all or nothing. */
async function isDeniedByDeno(path: string): Promise<boolean> {
  try {
    await stat(path);
    return false;
  } catch (error) {
    return error instanceof Error && error.name === "NotCapable";
  }
}

/** Whether a path is there. One that cannot be asked for counts as there and is a fault. */
async function exists(path: string, found: Findings): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    found.faults.push(fault(path, error));
    return true;
  }
}

async function readTable(
  net: string,
  protocol: SocketProtocol,
  hasIpv6: boolean,
  found: Findings,
): Promise<void> {
  const path = `${net}/${protocol}`;
  const reader = new SocketTableReader(protocol, (socket) => {
    const list = socket.loopback ? found.loopback : found.beyond;
    if (list.length < LISTENERS_MAX) list.push(socket);
    if (socket.loopback) found.loopbackTotal += 1;
    else found.beyondTotal += 1;
  });
  try {
    const isWhole = await readText(path, (text) => reader.push(text));
    const wrong = isWhole ? reader.end() : `it is longer than ${TABLE_BYTES_MAX >> 20} MiB`;
    if (wrong !== undefined) found.faults.push(`Cannot understand ${path}: ${wrong}`);
  } catch (error) {
    // Without IPv6 its tables do not exist, and a kernel without UDP-Lite has none of that.
    const isAbsent = isMissing(error) &&
      (protocol.startsWith("udplite") || protocol.endsWith("6") && !hasIpv6);
    if (!isAbsent) found.faults.push(fault(path, error));
  }
}

/**
 * Gives the text of a file in pieces. The size of a file in proc is 0, so it is read until nothing comes.
 *
 * @returns False when the file is longer than TABLE_BYTES_MAX: the rest was not read.
 */
async function readText(path: string, onText: (text: string) => void): Promise<boolean> {
  const file: FileHandle = await open(path, "r");
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let bytes = 0; bytes <= TABLE_BYTES_MAX;) {
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, null);
      if (bytesRead === 0) return true;
      bytes += bytesRead;
      // One character for each byte: a table is ASCII, and anything else is to fail as a line.
      onText(buffer.toString("latin1", 0, bytesRead));
    }
    return false;
  } finally {
    await file.close();
  }
}

/** The table is there only while the kernel module is loaded, and has one line for each endpoint under a header. */
async function readSctp(net: string, found: Findings): Promise<void> {
  const path = `${net}/sctp/eps`;
  let lines = 0;
  try {
    await readText(path, (text) => lines += text.split("\n").length - 1);
  } catch (error) {
    if (!isMissing(error)) found.faults.push(fault(path, error));
    return;
  }
  if (lines > 1) {
    found.faults.push(`Cannot judge ${path}: it lists SCTP endpoints, ${lines - 1} in number`);
  }
}

/**
 * Whether packets from outside can come in at all: an interface other than `lo` is up.
 *
 * The kernel joins the group of all hosts (224.0.0.1) on each interface that goes up, whether or not it has an address,
 * and lists it under that. The runtimes' own list is the second choice: it leaves out interfaces without an address,
 * and on Deno it holds those that are down. What cannot be told counts as up.
 */
async function hasNetwork(
  net: string,
  interfaces: () => Iterable<string>,
  found: Findings,
): Promise<boolean> {
  const path = `${net}/igmp`;
  try {
    let groups = "";
    const isWhole = await readText(path, (text) => groups += text);
    const [header = "", ...lines] = groups.split("\n");
    const others = lines.filter((line) => line !== "" && !IGMP_LO.test(line) && !IGMP_GROUP.test(line));
    return !isWhole || !header.startsWith("Idx\tDevice") || others.length > 0;
  } catch (error) {
    if (!isMissing(error)) {
      found.faults.push(fault(path, error));
      return true;
    }
  }
  // A kernel without multicast has no such list.
  try {
    return [...interfaces()].some((name) => name !== "lo");
  } catch (error) {
    found.faults.push(fault("the list of interfaces", error));
    return true;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function fault(path: string, error: unknown): string {
  const reason = error instanceof Error && "code" in error ? String(error.code) : String(error);
  return `Cannot read ${path}: ${quoted(reason)}`;
}
