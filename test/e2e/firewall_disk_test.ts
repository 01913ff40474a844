/**
 * A disk that is full: visitors are served and judged as before, operators see what is wrong and what is lost, and it
 * heals by itself.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { Operator, policyOf, startCommand, startWorkload } from "../support/firewall_wall.ts";
import { netwallCommand, type Runtime, RUNTIMES, useProcesses } from "../support/processes.ts";
import { get, RawTarget, request } from "./raw.ts";
import { eventually, portOf, type RunningGateway, TEST_MS_MAX } from "./wall.ts";

/** It is tried again after 10 s at the latest. */
const HEAL_MS_MAX = 45_000;
/** Room for all that waits, twice: in the log of the store, and in its file. */
const DISK_BYTES = 96 << 20;
/** Each source has so many events of its own, each as long as a visitor can make it: together more than may wait. */
const SOURCES = 24;
const EVENTS_PER_SOURCE = 250;
/** Requests that are sent on one connection before the first is answered. */
const PIPELINED = 50;
const LONG = "x".repeat(1000);

const processes = useProcesses();
let web: RawTarget;

beforeAll(async () => {
  web = await RawTarget.start();
});
afterAll(() => web?.close());

/** Why no small disk can be made here. */
const missing = spawnSync("unshare", ["-m", "mount", "-t", "tmpfs", "disk", "/mnt"]).status === 0
  ? undefined
  : "needs the right to mount";

/** A gateway whose directory is a small disk of its own, which ends with it. */
async function startOnDisk(runtime: Runtime): Promise<RunningGateway> {
  const folder = processes.folder("disk");
  const args = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--route", "*=web", "--data", folder];
  const script = `mount -t tmpfs -o size=${DISK_BYTES} disk "$0" && exec "$@"`;
  const command = [...netwallCommand(runtime, "gateway"), ...args];
  const started = processes.start(["unshare", "-m", "sh", "-c", script, folder, ...command]);
  const addresses = await started.ready;
  const data = `/proc/${started.pid}/root${folder}`;
  return { process: started, data, port: portOf(addresses["http"]), addresses };
}

/** Writes a file until there is no room for another byte. */
function fill(path: string): void {
  const file = openSync(path, "w");
  for (const bytes of [65_536, 4_096, 1]) {
    try {
      while (writeSync(file, Buffer.alloc(bytes)) === bytes);
    } catch {
      // It is full, as it should be.
    }
  }
  closeSync(file);
}

/** Sends requests from one address, one after the other on one connection, and gives the status of each. */
function flood(port: number, localAddress: string, requests: readonly string[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ port, host: "127.0.0.1", localAddress });
    socket.on("error", reject);
    socket.on("data", (data) => text += data.toString("latin1"));
    socket.on("close", () => resolve(text.match(/HTTP\/1\.1 \d{3}/g) ?? []));
    socket.write(requests.join(""));
  });
}

for (const runtime of RUNTIMES) {
  describe(`gateway on ${runtime}`, () => {
    test.skipIf(missing !== undefined)(
      `serves on with a full disk, and heals: ${missing ?? "as root"}`,
      async () => {
        const gateway = await startOnDisk(runtime);
        const operator = new Operator(gateway);
        await startWorkload(processes, runtime === "bun" ? "deno" : "bun", gateway, {
          ...{ name: "front-end", args: ["--serve", `web=${web.url}`] },
        });
        const visit = async (path: string): Promise<number> =>
          (await request(gateway.port, get(path))).status;
        const firewall = async (): Promise<{
          unrecorded: number;
          policyVersion: number;
          store: { state: string; fault?: string };
        }> => (await operator.get("status")).firewall;
        const deny = { id: "no-deny", http: { paths: ["/deny/**"] }, effect: "prevent" };
        const { version } = await operator.apply({ defaultMode: "alert", rules: [deny] });
        expect([await visit("/ok"), await visit("/deny/1"), (await firewall()).store.state]).toEqual([
          200,
          403,
          "ok",
        ]);

        const follower = startCommand(processes, runtime, gateway, ["events", "--follow", "--json"]);
        await follower.waitFor("stdout", /no-deny/);
        const filler = join(gateway.data, "filler");
        fill(filler);
        const [alarm] = await Promise.all([
          gateway.process.waitFor("stderr", /^.*the store cannot be written.*$/m),
          (async () => {
            for (let i = 0; !/the store cannot be written/.test(gateway.process.stderr()); i++) {
              expect([await visit(`/ok/${i}`), await visit(`/deny/${i}`)]).toEqual([200, 403]);
            }
          })(),
        ]);
        expect(alarm[0]).toContain("the disk is full");
        expect(await firewall()).toMatchObject({ store: { state: "fault" } });
        expect((await firewall()).store.fault).toContain("make room");

        // Who follows sees it, though it cannot be written down.
        const [told] = await follower.waitFor("stdout", /^.*"storeFault".*$/m);
        expect(JSON.parse(told)).toMatchObject({ type: "storeFault", severity: "critical", effect: "alert" });

        // What cannot be written down is not put in force.
        const denyAll = { id: "deny-all", effect: "prevent" };
        const refused = await operator.ask("PUT", "policy", policyOf({ rules: [denyAll] }));
        expect([refused.status, JSON.stringify(refused.body).includes("the disk is full")]).toEqual([
          503,
          true,
        ]);
        expect([(await firewall()).policyVersion, await visit("/ok")]).toEqual([version, 200]);

        // More than can wait: it is counted, and nobody waits for it.
        const statuses = await Promise.all(Array.from({ length: SOURCES }, async (_, source) => {
          const of: string[] = [];
          for (let first = 0; first < EVENTS_PER_SOURCE; first += PIPELINED) {
            const requests = Array.from({ length: PIPELINED }, (_, i) => {
              const last = i === PIPELINED - 1 ? ["Connection: close"] : [];
              return get(`/deny/${LONG}`, [`Host: h${first + i}.test`, `User-Agent: ${LONG}`, ...last]);
            });
            of.push(...await flood(gateway.port, `127.0.1.${source + 1}`, requests));
          }
          return of;
        }));
        expect(statuses.flat().length).toBe(SOURCES * EVENTS_PER_SOURCE);
        expect(new Set(statuses.flat())).toEqual(new Set(["HTTP/1.1 403"]));
        const { unrecorded } = await eventually(firewall, (status) => status.unrecorded > 0);
        const metrics = await fetch(`http://${gateway.addresses["admin"]}/metrics`, {
          headers: { authorization: operator.authorization },
        });
        expect(await metrics.text()).toMatch(/^netwall_\w*unrecorded\w*(?:\{[^}]*\})? [1-9]\d*$/m);
        expect([await visit("/ok"), await visit("/deny/last")]).toEqual([200, 403]);

        rmSync(filler);
        await gateway.process.waitFor("stderr", /the store can be written again/, HEAL_MS_MAX);
        await eventually(firewall, ({ store }) => store.state === "ok", HEAL_MS_MAX);
        expect((await firewall()).unrecorded).toBeGreaterThanOrEqual(unrecorded);
        await operator.event("the outage", ({ http }) => http?.path === "/deny/last");
        expect((await operator.apply({ rules: [denyAll] })).version).toBe(version + 1);
        expect(await visit("/ok")).toBe(403);
        follower.kill();
        expect(await gateway.process.stop()).toMatchObject({ code: 0 });
      },
      2 * TEST_MS_MAX,
    );
  });
}
