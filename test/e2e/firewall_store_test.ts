/**
 * The store under the firewall: what a kill leaves, what a damaged or foreign file does, a disk that is full, and a
 * policy that cannot be read. Where the gateway does not know what to judge by, it does not serve.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { NetwallEvent } from "../../lib/events/event.ts";
import {
  Operator,
  policyOf,
  runCommand,
  startCommand,
  startFirewall,
  startWorkload,
} from "../support/firewall_wall.ts";
import { type RunningProcess, type Runtime, RUNTIMES, useProcesses } from "../support/processes.ts";
import { get, RawTarget, request } from "./raw.ts";
import { reachDoor, TcpEnd, TcpTarget } from "./tcp_wall.ts";
import { eventually, type RunningGateway, TEST_MS_MAX } from "./wall.ts";

const STORE = "netwall.db";

const processes = useProcesses();
let web: RawTarget;
let database: TcpTarget;

beforeAll(async () => {
  web = await RawTarget.start();
  database = await TcpTarget.echo();
});
afterAll(() => {
  web?.close();
  database?.close();
});

const other = (runtime: Runtime): Runtime => runtime === "bun" ? "deno" : "bun";

async function echo(at: number | string): Promise<string> {
  const end = await TcpEnd.connect(at);
  end.write("echo");
  const text = (await end.take(4)).toString();
  const how = text === "echo" ? text : await end.gone();
  end.destroy();
  return how;
}

/** A gateway that must not start on a directory: how it ended, and what it said. */
async function refused(runtime: Runtime, data: string): Promise<string> {
  const gateway = processes.gateway(runtime, ["--http", "127.0.0.1:0", "--admin", "off", "--data", data]);
  const served = await gateway.ready.then(() => true, () => false);
  if (served) gateway.kill();
  const { code } = await gateway.exit;
  expect([served, code, gateway.stdout()]).toEqual([false, 1, ""]);
  // A sentence and not a stack.
  expect(gateway.stderr().trim().split("\n").filter((line) => /^\s+at |Error:/.test(line))).toEqual([]);
  return gateway.stderr();
}

for (const runtime of RUNTIMES) {
  describe(`gateway on ${runtime}`, () => {
    let gateway: RunningGateway;
    let operator: Operator;
    let user: RunningProcess;
    const agents: RunningProcess[] = [];

    /** The agents of a shop, which stay through all restarts of the gateway. */
    const startAgents = async (): Promise<void> => {
      const start = (name: string, args: string[]): Promise<RunningProcess> =>
        startWorkload(processes, other(runtime), gateway, { name, args });
      agents.push(await start("front-end", ["--serve", `web=${web.url}`]));
      agents.push(await start("user-db", ["--serve", `user-db=tcp://127.0.0.1:${database.port}`]));
      user = await start("user", ["--reach", "user-db=127.0.0.1:0"]);
      agents.push(user);
    };
    const visit = async (path: string): Promise<number> => (await request(gateway.port, get(path))).status;

    test("what was in force, learned and told is there after a kill under load", async () => {
      gateway = await startFirewall(processes, runtime);
      const { port, data } = gateway;
      operator = new Operator(gateway);
      await startAgents();
      const raw = await reachDoor(user, "user-db");
      for (let i = 0; i < 3; i++) expect([await visit("/"), await echo(raw)]).toEqual([200, "echo"]);
      for (const name of ["front-end", "user-db", "user"]) await operator.setMode(name, "prevent");
      const { document: { spec } } = await operator.get("policy");
      const last = { id: "last", destination: { service: "none" }, effect: "prevent" };
      const { version } = await operator.apply({ ...spec, rules: [last] });
      const follower = startCommand(processes, runtime, gateway, ["events", "--follow", "--json"]);
      const isOn = { load: true };
      const load = Array.from({ length: 4 }, async (_, lane) => {
        for (let i = 0; isOn.load; i++) {
          const asked = await request(port, get(`/none-${i % 50}`, [`Host: lane-${lane}.test`])).catch(() =>
            undefined
          );
          if (asked !== undefined && asked.status !== 403) throw new Error(`Not refused but ${asked.status}`);
        }
      });
      // In the store, and so acknowledged; the load goes on.
      const kept = await eventually(
        () => operator.events("&verdict=dropped"),
        (events) => events.length >= 100,
      );
      await eventually(() => follower.stdout().split("\n").length, (lines) => lines > 100);
      gateway.process.kill();
      await gateway.process.exit;
      isOn.load = false;
      await Promise.all(load);

      const addresses = ["--http", `127.0.0.1:${port}`, "--admin", String(gateway.addresses["admin"])];
      gateway = await startFirewall(processes, runtime, addresses, data);
      operator = new Operator(gateway);
      expect((await operator.get("policy")).version).toBe(version);
      await eventually(() => operator.get("links"), ({ links }) => links.length === agents.length);
      // Learned just before the modes were set, and never since.
      expect([await visit("/"), await visit("/none-1")]).toEqual([200, 403]);
      expect(await echo(raw)).toBe("echo");
      const stored = new Map((await operator.events()).map((event) => [event.id, event]));
      for (const { id, count } of kept) expect(stored.get(id)?.count ?? 0).toBeGreaterThanOrEqual(count);
      expect(kept.length).toBeGreaterThanOrEqual(100);
      // Who followed goes on with what came since, and no number came twice with another content.
      await eventually(() => follower.stdout(), (text) => text.split("\n").length > 101);
      const seqs = follower.stdout().split("\n").slice(0, -1).map((line) =>
        (JSON.parse(line) as NetwallEvent).seq
      );
      expect(new Set(seqs).size).toBe(seqs.length);
      follower.kill();
    }, TEST_MS_MAX);

    test("a second gateway on one directory is told so, and the first goes on", async () => {
      const said = await refused(runtime, gateway.data);
      expect(said).toContain("another gateway uses it");
      expect(said).toContain("--data");
      expect(await refused(other(runtime), gateway.data)).toContain("another gateway uses it");
      expect(await visit("/")).toBe(200);
      expect((await operator.get("status")).firewall.store.state).toBe("ok");
    }, TEST_MS_MAX);

    test("a policy file that is broken changes nothing, and the line is named", async () => {
      const before = await operator.get("policy");
      const folder = processes.folder("policy");
      const good = ["apiVersion: netwall/v1", "kind: Policy", "spec:", "  rules:", "    - id: a"];
      const broken: Record<string, [text: string, line: number, word: string]> = {
        "a key that is mistyped": [[...good, "      efect: prevent", ""].join("\n"), 6, "efect"],
        "a mode that is none": [[...good.slice(0, 3), "  defaultMode: off", ""].join("\n"), 4, "defaultMode"],
        "no YAML": [[...good, "      effect: [prevent", ""].join("\n"), 7, ""],
        "an effect that is missing": [[...good, ""].join("\n"), 5, "effect"],
        "an id that is taken": [
          [...good, "      effect: allow", "    - id: a", "      effect: prevent", ""].join("\n"),
          7,
          "taken",
        ],
      };
      for (const [name, [text, line, word]] of Object.entries(broken)) {
        const file = join(folder, "broken.yaml");
        writeFileSync(file, text);
        const { code, stdout, stderr } = await runCommand(processes, runtime, gateway, [
          "policy",
          "apply",
          file,
        ]);
        expect([name, code, stdout]).toEqual([name, 2, ""]);
        expect(stderr).toContain(file);
        expect([name, stderr.includes(word), new RegExp(`(:|line )${line}\\b`).test(stderr)])
          .toEqual([name, true, true]);
      }
      expect(Object.keys(broken)).toHaveLength(5);
      const invalid = await operator.ask("PUT", "policy", policyOf({ rules: [{ id: "a", effect: "deny" }] }));
      expect(invalid.status).toBe(422);
      expect(await operator.get("policy")).toEqual(before);
      expect([await visit("/"), await visit("/none")]).toEqual([200, 403]);
    }, TEST_MS_MAX);

    test("a store that cannot be read ends the start with its reason, and stays as it is", async () => {
      for (const agent of agents) expect(await agent.stop()).toMatchObject({ code: 0 });
      expect(await gateway.process.stop()).toMatchObject({ code: 0 });
      const { data } = gateway;
      const path = join(data, STORE);
      const whole = readFileSync(path);
      const change = (sql: string, ...values: (string | Uint8Array)[]) => (): void => {
        const opened = new DatabaseSync(path);
        const { changes } = opened.prepare(sql).run(...values);
        opened.close();
        expect(Number(changes)).toBe(1);
      };
      const overwrite = (at: number, bytes: number) => (): void => {
        const file = openSync(path, "r+");
        writeSync(file, Buffer.alloc(bytes, 0xff), 0, bytes, at);
        closeSync(file);
      };
      const newest = "version = (SELECT max(version) FROM policies)";
      const faults: Record<string, [spoil: () => void, says: RegExp]> = {
        "no database": [
          () => writeFileSync(path, "this is no database\n".repeat(1000)),
          /damaged.*nothing was deleted/,
        ],
        "a page that is overwritten": [overwrite(8192, 8192), /damaged.*nothing was deleted/],
        "a header that is overwritten": [overwrite(0, 100), /damaged.*nothing was deleted/],
        "a policy of another kind": [
          change(`UPDATE policies SET document = ? WHERE ${newest}`, '{"kind":"Policy"}'),
          /version \d+ of the policy.*damaged/,
        ],
        "a policy that is no JSON": [
          change(`UPDATE policies SET document = ? WHERE ${newest}`, "{"),
          /damaged/,
        ],
        "a model that is none": [
          change("UPDATE states SET text = ? WHERE name = 'model'", Buffer.from("[1,2")),
          /learned model.*Move netwall\.db away/,
        ],
      };
      for (const [name, [spoil, says]] of Object.entries(faults)) {
        writeFileSync(path, whole);
        for (const rest of ["-wal", "-shm"]) rmSync(`${path}${rest}`, { force: true });
        spoil();
        const spoilt = readFileSync(path);
        const said = await refused(runtime, data);
        expect([name, said.includes(path) || name.includes("model"), says.test(said)]).toEqual([
          name,
          true,
          true,
        ]);
        expect([name, readFileSync(path).equals(spoilt)]).toEqual([name, true]);
      }
      expect(Object.keys(faults)).toHaveLength(6);
      // What is staged decides nothing: without it the gateway serves all the same.
      writeFileSync(path, whole);
      change("INSERT OR REPLACE INTO states (name, text) VALUES ('staged-policy', ?)", Buffer.from("{"))();
      const gone = await startFirewall(processes, runtime, [], data);
      expect((await new Operator(gone).get("status")).firewall.isStaged).toBe(false);
      expect(await gone.process.stop()).toMatchObject({ code: 0 });
    }, TEST_MS_MAX);
  });
}
