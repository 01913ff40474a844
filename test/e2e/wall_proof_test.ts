/**
 * The proof of the wall: nothing of a container that is served can be reached, from the gateway's host or a client's.
 *
 * Every scan covers all 65,535 TCP ports and a sample of UDP, and is shown to find what is there when the firewall is
 * taken away. Without any firewall the agent still adds no port.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { ADDRESSES, type Host, Lab, labSkip } from "../chaos/lab.ts";
import { Rig } from "../chaos/rig.ts";
import { bunBinary, netwallCommand, type RunningProcess, useProcesses } from "../support/processes.ts";
import { ensurePackage } from "../support/services.ts";
import { eventually, type Pairing, TEST_MS_MAX } from "./wall.ts";

/** A scan of all ports takes 5 to 8 s where each of them is dropped. */
const SCANS_MS_MAX = 120_000;

/** UDP ports that are looked at: the ones most often open. */
const UDP_PORTS = 100;

const PAIRINGS: readonly Pairing[] = [["deno", "bun"], ["bun", "deno"]];

const processes = useProcesses();
const labs = new Set<Lab>();
afterAll(() => {
  for (const lab of labs) lab.close();
});

/** Why nothing of this runs here. With `CI` set it always runs, and fails where it cannot. */
function skipReason(): string | undefined {
  const lab = labSkip();
  if (lab !== undefined) return lab;
  const nmap = ensurePackage("nmap", "nmap");
  if (nmap.path !== undefined || process.env["CI"]) return undefined;
  process.stderr.write(`The proof of the wall is skipped: ${nmap.reason}\n`);
  return nmap.reason;
}

const reason = skipReason();
const skip = reason !== undefined;
const why = skip ? ` (${reason})` : "";

/** What a scan found of the container. */
interface Scan {
  /** Ports that a program answers on, such as `tcp 8080`. */
  readonly open: readonly string[];
  /** Ports from which not even a refusal came. */
  readonly silent: number;
  readonly scanned: number;
}

/** Scans the container from another host. */
async function scan(lab: Lab, from: Host, protocol: "tcp" | "udp"): Promise<Scan> {
  const what = protocol === "tcp" ? ["-sS", "-p1-65535"] : ["-sU", "--top-ports", String(UDP_PORTS)];
  const pace = ["-n", "-Pn", "--min-rate", "20000", "--max-retries", "1", "--host-timeout", "60s"];
  const text = await processes.run(
    lab.argv(from, ["nmap", ...what, ...pace, "-oX", "-", ADDRESSES.container]),
  );
  if (text.includes('timedout="true"')) throw new Error(`Cannot scan from ${from}: nmap ran out of time`);
  const counts = { scanned: 0, silent: 0 };
  const count = (state: string, ports: number): void => {
    counts.scanned += ports;
    // A UDP port that is dropped looks to nmap like one whose program does not answer.
    if (state === "filtered" || state === "open|filtered") counts.silent += ports;
  };
  for (const [, state = "", ports] of text.matchAll(/<extraports state="([^"]+)" count="(\d+)"/g)) {
    count(state, Number(ports));
  }
  const open: string[] = [];
  for (
    const [, kind, port, state = ""] of text.matchAll(
      /<port protocol="(\w+)" portid="(\d+)"><state state="([^"]+)"/g,
    )
  ) {
    count(state, 1);
    if (state === "open") open.push(`${kind} ${port}`);
  }
  return { open, ...counts };
}

/** From both hosts, all of TCP and the sample of UDP. */
function scanAll(lab: Lab): Promise<Scan[]> {
  const from = ["gateway", "client"] as const;
  return Promise.all(from.flatMap((host) => [scan(lab, host, "tcp"), scan(lab, host, "udp")]));
}

const NOTHING: Scan[] = [
  { open: [], silent: 65_535, scanned: 65_535 },
  { open: [], silent: UDP_PORTS, scanned: UDP_PORTS },
  { open: [], silent: 65_535, scanned: 65_535 },
  { open: [], silent: UDP_PORTS, scanned: UDP_PORTS },
];

/** Starts a TCP listener in the container, and tells its port. */
async function listenInside(lab: Lab, address: string): Promise<{ process: RunningProcess; port: number }> {
  const script = `const server = require("net").createServer().listen(0, "${address}", () => ` +
    `process.stdout.write("ready " + JSON.stringify({ port: String(server.address().port) }) + "\\n"))`;
  const process = processes.start(lab.argv("container", [bunBinary(), "-e", script]));
  return { process, port: Number((await process.ready)["port"]) };
}

/** A socket of a namespace as `/proc` lists it. */
interface Socket {
  readonly inode: string;
  readonly isListening: boolean;
  /** What it is: its table, its own address, its peer and its state, as the kernel writes them. */
  readonly text: string;
}

/** Every TCP, UDP and raw socket of a process's namespace, and those unix sockets that take connections. */
function socketsAround(pid: number): Socket[] {
  const sockets: Socket[] = [];
  for (const name of ["tcp", "tcp6", "udp", "udp6", "raw", "raw6"]) {
    const lines = readFileSync(`/proc/${pid}/net/${name}`, "utf8").trim().split("\n").slice(1);
    for (const line of lines) {
      const [, own = "", peer = "", state = "", , , , , , inode = ""] = line.trim().split(/\s+/);
      // LISTEN of TCP; of the others, a socket without a peer takes from anyone.
      const isListening = name.startsWith("tcp") ? state === "0A" : /^0+:0000$/.test(peer);
      sockets.push({ inode, isListening, text: `${name} ${own} ${peer} ${state}` });
    }
  }
  for (const line of readFileSync(`/proc/${pid}/net/unix`, "utf8").trim().split("\n").slice(1)) {
    const [, , , flags = "", , , inode = "", path = ""] = line.trim().split(/\s+/);
    if ((parseInt(flags, 16) & 0x10000) !== 0) {
      sockets.push({ inode, isListening: true, text: `unix ${path}` });
    }
  }
  return sockets;
}

/** The sockets that a process holds itself. */
function socketsOf(pid: number): Socket[] {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        // Closed a moment ago.
        return [];
      }
    }),
  );
  return socketsAround(pid).filter(({ inode }) => own.has(inode));
}

/** What `ss` says listens in the container, as `tcp 127.0.0.1:80`. */
function listeningBySs(lab: Lab): string[] {
  const lines = lab.run("container", ["ss", "-Hlntuw"]).split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [kind, , , , local] = line.trim().split(/\s+/);
    return `${kind} ${local}`;
  }).sort();
}

/** What the agent's audit says listens, the same way. */
async function listeningByAudit(
  lab: Lab,
  pairing: Pairing,
): Promise<{ sockets: string[]; state: string; code: number }> {
  const audit = processes.start(
    lab.argv("container", [...netwallCommand(pairing[1], "agent"), "audit", "--json"]),
  );
  const { code } = await audit.exit;
  if (audit.stdout() === "") throw new Error(`Cannot read the audit: it said nothing: ${audit.stderr()}`);
  const { state, listeners } = JSON.parse(audit.stdout()) as {
    state: string;
    listeners: { protocol: string; address: string; port: number }[];
  };
  const sockets = listeners.filter(({ protocol }) => protocol !== "unix").map(
    ({ protocol, address, port }) => {
      const host = address.includes(":") ? `[${address}]` : address;
      return `${protocol.replace(/6$/, "")} ${host}:${port}`;
    },
  ).sort();
  return { sockets, state, code: code ?? -1 };
}

describe("the wall, seen from other hosts", () => {
  test.skipIf(skip)(`scans find nothing before, while and after it serves${why}`, async () => {
    const lab = new Lab(60);
    labs.add(lab);
    expect(await scanAll(lab)).toEqual(NOTHING);
    const rig = await Rig.start(processes, lab, ["bun", "bun"]);
    const visitors = await rig.visit();
    await eventually(() => visitors.records(), (records) => records.length > 10);
    const scannedMs = Date.now();
    expect(await scanAll(lab)).toEqual(NOTHING);
    const records = await visitors.stop();
    const during = records.filter(({ endMs }) => endMs > scannedMs);
    expect(during.length).toBeGreaterThan(10);
    expect(during.filter(({ outcome }) => outcome !== "ok")).toEqual([]);
    // The router stands in front: the container has not even seen the knocking.
    expect(lab.droppedIn()).toBe(0);
    await rig.agent.stop();
    lab.removeFirewall("router");
    expect(await scanAll(lab)).toEqual(NOTHING);
    // Its own firewall is enough too: now each knock has come up to it.
    expect(lab.droppedIn()).toBeGreaterThan(2 * 65_535);
    lab.close();
  }, SCANS_MS_MAX);
});

PAIRINGS.forEach((pairing, index) => {
  describe(`gateway on ${pairing[0]}, agent on ${pairing[1]}`, () => {
    let starting: Promise<Rig> | undefined;
    /** One wall for all tests of the pairing. */
    const start = (): Promise<Rig> => {
      starting ??= (async () => {
        const lab = new Lab(61 + index);
        labs.add(lab);
        return await Rig.start(processes, lab, pairing);
      })();
      return starting;
    };

    test.skipIf(skip)(
      `without a firewall there is no port of the agent's; a scan finds what another opens${why}`,
      async () => {
        const { lab } = await start();
        lab.removeFirewall("container");
        lab.removeFirewall("router");
        const inside = await listenInside(lab, "127.0.0.1");
        for (const { open, scanned } of await scanAll(lab)) {
          expect(open).toEqual([]);
          expect(scanned).toBeGreaterThan(0);
        }
        const control = await listenInside(lab, "0.0.0.0");
        expect((await scan(lab, "client", "tcp")).open).toEqual([`tcp ${control.port}`]);
        expect((await scan(lab, "gateway", "tcp")).open).toEqual([`tcp ${control.port}`]);
        lab.addFirewall("container");
        lab.addFirewall("router");
        await Promise.all([control.process.stop(), inside.process.stop()]);
      },
      SCANS_MS_MAX,
    );

    test.skipIf(skip)(`the agent holds one socket that calls out, and none that listens${why}`, async () => {
      const rig = await start();
      const held = socketsOf(rig.agent.pid);
      expect(held.filter(({ isListening }) => isListening)).toEqual([]);
      // The link is seen, so the reading is not empty by mistake; and it finds the gateway's listeners.
      expect(held.map(({ text }) => text)).toHaveLength(1);
      expect(socketsOf(rig.gateway.pid).some(({ isListening }) => isListening)).toBe(true);
    }, TEST_MS_MAX);

    test.skipIf(skip)(
      `the audit shows what ss shows, and tells a wall that is whole from a broken one${why}`,
      async () => {
        const { lab } = await start();
        const alone = await listeningByAudit(lab, pairing);
        expect(alone).toEqual({ sockets: listeningBySs(lab), state: "whole", code: 0 });
        const inside = await listenInside(lab, "127.0.0.1");
        const loopback = await listeningByAudit(lab, pairing);
        expect(loopback).toEqual({ sockets: listeningBySs(lab), state: "whole", code: 0 });
        expect(loopback.sockets).toContain(`tcp 127.0.0.1:${inside.port}`);
        const exposed = await listenInside(lab, "0.0.0.0");
        const broken = await listeningByAudit(lab, pairing);
        expect(broken).toEqual({ sockets: listeningBySs(lab), state: "broken", code: 1 });
        expect(broken.sockets).toContain(`tcp 0.0.0.0:${exposed.port}`);
        await Promise.all([inside.process.stop(), exposed.process.stop()]);
      },
      TEST_MS_MAX,
    );
  });
});
