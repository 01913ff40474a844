/**
 * `quickstart` with nothing to publish: the sample wall learns, is found stable, and then alerts of its strangers.
 *
 * Both runtimes run at once, as most of the time is spent waiting for what is normal to have been learned.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "bun:test";
import type { GroupView } from "../../lib/admin/control.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import type { EdgeRecord } from "../../lib/policy/record.ts";
import { netwallCommand, type RunningProcess, RUNTIMES, useProcesses } from "../support/processes.ts";
import { eventually, portOf, TEST_MS_MAX } from "./wall.ts";

const processes = useProcesses();

/** Learning takes half a minute, and a machine with other things to do may take longer. */
const LEARNED_MS_MAX = 90_000;
const STRANGERS_MS_MAX = 60_000;

interface Sample {
  readonly process: RunningProcess;
  /** The only folder that it may write temporary files to. */
  readonly folder: string;
  readonly port: number;
  readonly adminPort: number;
  readonly token: string;
}

async function startSample(
  runtime: (typeof RUNTIMES)[number],
  args: readonly string[] = [],
): Promise<Sample> {
  const folder = processes.folder("quickstart");
  const command = [...netwallCommand(runtime, "gateway"), "quickstart"];
  const at = ["--http", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
  const child = processes.start([...command, ...at, ...args], { env: { TMPDIR: folder } });
  const { http, admin } = await child.ready;
  const [data = ""] = readdirSync(folder);
  const token = readFileSync(join(folder, data, "admin-token"), "utf8").trim();
  return { process: child, folder, port: portOf(http), adminPort: portOf(admin), token };
}

interface Asked {
  readonly port: number;
  readonly path: string;
  readonly headers?: Record<string, string>;
  /** Sent as curl does. */
  readonly form?: string;
}

function ask({ port, path, headers = {}, form }: Asked): Promise<{ status: number; text: string }> {
  const method = form === undefined ? "GET" : "POST";
  const type = form === undefined ? {} : { "Content-Type": "application/x-www-form-urlencoded" };
  return new Promise((resolve, reject) => {
    const outgoing = request({ port, path, method, headers: { ...type, ...headers }, agent: false });
    outgoing.on("error", reject);
    outgoing.on("response", (incoming) => {
      let text = "";
      incoming.setEncoding("utf8");
      incoming.on("data", (chunk: string) => {
        text += chunk;
        // An event stream has no end.
        if (path === "/events") {
          resolve({ status: incoming.statusCode ?? 0, text });
          outgoing.destroy();
        }
      });
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text }));
    });
    outgoing.end(form);
  });
}

async function items<T>({ adminPort, token }: Sample, path: string): Promise<T[]> {
  const headers = { Authorization: `Bearer ${token}` };
  const { status, text } = await ask({ port: adminPort, path: `/api/v1/${path}`, headers });
  expect(status).toBe(200);
  return (JSON.parse(text) as { items: T[] }).items;
}

function edgeText(edge: EdgeRecord): string {
  const to = edge.host === "" ? `${edge.destination} ${edge.service}` : edge.host;
  return `${edge.direction} ${edge.protocol} ${edge.source} > ${to}`;
}

const NORMAL = [
  "east-west http shop/front-end > shop/catalogue catalogue",
  "east-west http shop/front-end > shop/payment payment",
  "east-west http shop/front-end > shop/user user",
  "east-west tcp shop/user > data/user-db user-db",
  "egress tcp shop/payment > localhost",
  "north-south http internet > shop/front-end front-end",
];

const NOTICES = new Set(["policyChange", "modelStable"]);

const strange = (events: readonly NetwallEvent[]): NetwallEvent[] =>
  events.filter(({ type }) => !NOTICES.has(type));

/** What each stranger does, as its events tell. */
function kindOf({ type, source, destination, deviation }: NetwallEvent): string {
  const to = destination?.kind === "host" ? "an unknown host" : destination?.name;
  return `${type} ${source?.name} > ${to} ${deviation?.kind}`;
}

const STRANGERS = [
  "unexpectedConnection shop/front-end > data/user-db edge",
  "unexpectedConnection shop/payment > an unknown host edge",
  "unexpectedRequest internet > shop/front-end route",
];

const isLearned = (groups: readonly GroupView[]): boolean =>
  groups.length === 5 &&
  groups.every(({ learning, modes }) =>
    learning.length > 0 && learning.every(({ direction }) => modes[direction].mode === "alert")
  );

const started = new Map<string, Sample>();

beforeAll(async () => {
  await Promise.all(RUNTIMES.map(async (runtime) => started.set(runtime, await startSample(runtime))));
});

for (const runtime of RUNTIMES) {
  describe(runtime, () => {
    const sample = (): Sample => started.get(runtime)!;

    test("the map has what the parts of the sample do, and nothing else", async () => {
      const edges = await eventually(
        () => items<EdgeRecord>(sample(), "edges"),
        (found) => found.length >= NORMAL.length,
      );
      // A stranger may have been here, when the other runtime took its time.
      const known = edges.filter(({ state }) => state === "learned");
      expect(known.map(edgeText).sort()).toEqual(NORMAL);
    }, TEST_MS_MAX);

    test("what the greeting says to try works", async () => {
      const { port } = sample();
      const page = await ask({ port, path: "/", headers: { Accept: "text/html" } });
      expect([page.status, page.text.includes("You are behind the wall")]).toEqual([200, true]);
      expect((await ask({ port, path: "/" })).text).toMatch(/^You are behind the wall/);
      expect((await ask({ port, path: "/events" })).text).toMatch(/^data: \d\d:\d\d:\d\d\n\n/);
      expect(await ask({ port, path: "/echo", form: "any body" })).toEqual({ status: 200, text: "any body" });
      const told = sample().process.stdout();
      expect(told).toContain(`curl http://127.0.0.1:${port}\n`);
      expect(told).toContain(`curl -d 'any body' http://127.0.0.1:${port}/echo\n`);
    }, TEST_MS_MAX);

    test("models become stable, then strangers come and are alerted of, and nobody else", async () => {
      let before: NetwallEvent[] = [];
      const groups = await eventually(
        async () => {
          const found = await items<GroupView>(sample(), "groups");
          if (!isLearned(found)) before = await items<NetwallEvent>(sample(), "events?limit=100");
          return found;
        },
        isLearned,
        LEARNED_MS_MAX,
      );
      expect(strange(before)).toEqual([]);
      expect(groups.map(({ id }) => id).sort()).toEqual([
        "data/user-db",
        "shop/catalogue",
        "shop/front-end",
        "shop/payment",
        "shop/user",
      ]);
      const kinds = (events: readonly NetwallEvent[]): string[] =>
        [
          ...new Set(strange(events).map(kindOf)),
        ].sort();
      const events = await eventually(
        () => items<NetwallEvent>(sample(), "events?limit=100"),
        (found) => kinds(found).length >= STRANGERS.length,
        STRANGERS_MS_MAX,
      );
      // The requests of the test before are among what was learned: they made no event.
      expect(kinds(events)).toEqual(STRANGERS);
      for (const event of strange(events)) {
        expect([event.effect, event.verdict, event.rule.kind]).toEqual(["alert", "audited", "implicit"]);
      }
    }, LEARNED_MS_MAX + STRANGERS_MS_MAX);

    test("visitors come from several networks, and some answers are errors", async () => {
      const edges = await items<EdgeRecord>(sample(), "edges");
      const visits = edges.find(({ direction }) => direction === "north-south")!;
      expect(visits.failedCount).toBeGreaterThan(0);
      expect(visits.failedCount).toBeLessThan(visits.count / 5);
      expect(sample().process.stderr()).toBe("");
    });

    test("Ctrl-C ends it and leaves nothing behind", async () => {
      const { process, folder, port, adminPort } = sample();
      expect(readdirSync(folder)).toHaveLength(1);
      expect(await process.stop("SIGINT")).toEqual({ code: 0, signal: null });
      expect(readdirSync(folder)).toEqual([]);
      await expect(ask({ port, path: "/" })).rejects.toThrow();
      await expect(ask({ port: adminPort, path: "/healthz" })).rejects.toThrow();
      expect(process.stderr()).toBe("");
    }, TEST_MS_MAX);

    test("without sample traffic nobody comes", async () => {
      const quiet = await startSample(runtime, ["--sample-traffic=false"]);
      expect((await ask({ port: quiet.port, path: "/catalogue/1" })).status).toBe(200);
      const edges = await eventually(
        () => items<EdgeRecord>(quiet, "edges"),
        (found) => found.length >= 2,
      );
      expect(edges.map((edge) => `${edge.count} ${edgeText(edge)}`).sort()).toEqual([
        "1 east-west http shop/front-end > shop/catalogue catalogue",
        "1 north-south http internet > shop/front-end front-end",
      ]);
      const at = (host: string, path: string): Promise<{ status: number; text: string }> =>
        ask({ port: quiet.port, path, headers: { Host: `${host}:${quiet.port}` } });
      // One answer in many is a fault.
      expect((await at("catalogue.localhost", "/products")).text).toMatch(/Socks|The shelf is stuck/);
      // What no agent serves belongs to the sample, as any other name does.
      for (const host of ["other.localhost", "localhost", "example.com"]) {
        const { status, text } = await at(host, "/");
        expect([host, status, text.startsWith("You are behind the wall")]).toEqual([host, 200, true]);
      }
      const headers = { Authorization: `Bearer ${quiet.token}` };
      const told = await ask({ port: quiet.adminPort, path: "/api/v1/status", headers });
      expect((JSON.parse(told.text) as { entry: unknown }).entry).toEqual({
        ...{ http: [`127.0.0.1:${quiet.port}`], https: [], domain: "localhost", links: [] },
        routes: [{ route: "*", service: "front-end" }],
      });
      expect(await quiet.process.stop("SIGINT")).toEqual({ code: 0, signal: null });
      expect(readdirSync(quiet.folder)).toEqual([]);
    }, TEST_MS_MAX);
  });
}
