/**
 * Who asks too much, who guesses at tokens, and who may only look.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { mintAdmin } from "../../lib/admin/admin_token_command.ts";
import { LINK_SUBPROTOCOL } from "../../lib/link/websocket.ts";
import {
  mintWorkload,
  Operator,
  policyOf,
  runCommand,
  startFirewall,
  startWorkload,
} from "../support/firewall_wall.ts";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { get, type RawResponse, RawTarget, request } from "./raw.ts";
import { reachDoor, TcpEnd, tcpPorts, TcpTarget } from "./tcp_wall.ts";
import { CROSS, eventually, type RunningGateway, startAgent, TEST_MS_MAX } from "./wall.ts";

const ALLOWED = 3;
/** Failures of one address that slow nobody, and what is tried beyond them. */
const FAILURES_FREE = 10;
const GUESSES = 30;

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

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let operator: Operator;
    let user: RunningProcess;
    /** Of `user`: it held before anybody guessed. */
    let knownToken: string;

    const visit = (path = "/"): Promise<RawResponse> => request(gateway.port, get(path));
    const limit = (rule: object): object => ({
      rateLimits: [{ id: "slow", requests: ALLOWED, seconds: 600, ...rule }],
    });
    const statuses = async (count: number): Promise<number[]> => {
      const seen: number[] = [];
      for (let i = 0; i < count; i++) seen.push((await visit()).status);
      return seen;
    };
    /** A handshake with a token, as an agent makes it. */
    const guess = (token: string): Promise<RawResponse> =>
      request(
        gateway.port,
        get("/.netwall/link", [
          ...["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
          ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", `Authorization: Bearer ${token}`],
          `Sec-WebSocket-Protocol: ${LINK_SUBPROTOCOL}`,
        ]),
      );

    beforeAll(async () => {
      gateway = await startFirewall(processes, gatewayRuntime, ["--tcp", "127.0.0.1:0=user-db"]);
      operator = new Operator(gateway);
      const start = (name: string, args: string[]): Promise<RunningProcess> =>
        startWorkload(processes, agentRuntime, gateway, { name, args });
      await start("front-end", ["--serve", `web=${web.url}`]);
      await start("user-db", ["--serve", `user-db=tcp://127.0.0.1:${database.port}`]);
      knownToken = await mintWorkload(gateway.data, "user");
      const args = ["--reach", "web=127.0.0.1:0"];
      user = await startAgent(processes, agentRuntime, gateway, { args, token: knownToken });
    });

    test("who is over a limit gets 429 and is told when to come again; each source has its own", async () => {
      await operator.apply(limit({ service: "web" }));
      const seen = web.seen.length;
      expect(await statuses(ALLOWED)).toEqual(Array(ALLOWED).fill(200));
      const over = await visit();
      expect([over.status, over.field("content-type")]).toEqual([429, "application/problem+json"]);
      const seconds = Number(over.field("retry-after"));
      expect(seconds).toBeGreaterThan(0);
      expect(seconds).toBeLessThanOrEqual(600 / ALLOWED);
      expect(await statuses(4)).toEqual([429, 429, 429, 429]);
      expect(web.seen.length - seen).toBe(ALLOWED);
      // Another workload is another source.
      const inside = await request(await reachDoor(user, "web"), get("/"));
      expect(inside.status).toBe(200);
      const event = await operator.event(
        "the limit",
        ({ type, count }) => type === "rateLimit" && count === 5,
      );
      expect(event).toMatchObject({
        ...{ effect: "prevent", verdict: "dropped", rule: { kind: "rateLimit", id: "slow" } },
        ...{ direction: "north-south", source: { kind: "network", ip: "127.0.0.1" } },
        destination: { kind: "workload", service: "web", image: "front-end:1.0" },
      });
      expect(await operator.get("bans")).toEqual({ items: [] });
    }, TEST_MS_MAX);

    test("raw connections over a limit are reset", async () => {
      await operator.apply(limit({ service: "user-db" }));
      const ends: string[] = [];
      for (let i = 0; i < ALLOWED + 2; i++) {
        const end = await TcpEnd.connect(tcpPorts(gateway)[0]!);
        end.write("echo");
        ends.push((await end.take(4)).toString() || await end.gone());
        end.destroy();
      }
      expect(ends).toEqual([...Array(ALLOWED).fill("echo"), "ECONNRESET", "ECONNRESET"]);
      expect(database.ends.length % ALLOWED).toBe(0);
    }, TEST_MS_MAX);

    test("a ban is listed, holds, and can be lifted", async () => {
      await operator.apply(limit({ service: "web", banSeconds: 3_600 }));
      expect(await statuses(ALLOWED + 2)).toEqual([...Array(ALLOWED).fill(200), 429, 429]);
      const { items: bans } = await operator.get("bans");
      expect(bans).toHaveLength(1);
      expect(bans[0]).toMatchObject({ source: "127.0.0.1" });
      await operator.event("the ban", ({ rule }) => rule.kind === "ban" && rule.id === "slow");
      const path = `bans/${encodeURIComponent(bans[0].key)}`;
      expect((await operator.ask("DELETE", path)).status).toBeLessThan(300);
      expect((await operator.get("bans")).items).toEqual([]);
      expect(await statuses(1)).toEqual([200]);
      expect((await operator.ask("DELETE", path)).status).toBe(404);
      const { items } = await operator.get("audit");
      expect(items.some(({ action }: { action: string }) => action === "ban.lift")).toBe(true);
      await operator.apply({});
    }, TEST_MS_MAX);

    test("who may only look sees everything and changes nothing", async () => {
      const claims = { data: gateway.data, name: "eve", role: "viewer", ttlMs: 3_600_000 } as const;
      const token = await mintAdmin(claims, Date.now());
      const viewer = new Operator(gateway, token);
      const { paths } = await operator.get("openapi.json") as {
        paths: Record<string, Record<string, object>>;
      };
      const before = await operator.get("policy");
      const read: string[] = [];
      const refused: string[] = [];
      for (const [path, methods] of Object.entries(paths)) {
        if (!path.startsWith("/api/v1/")) continue;
        const below = path.slice("/api/v1/".length).replaceAll(/\{\w+\}/g, "1");
        for (const method of Object.keys(methods)) {
          // The live stream does not end; a session is everybody's own.
          if (below === "stream" || below.startsWith("session")) continue;
          const { status } = await viewer.ask(
            method.toUpperCase(),
            below === "groups/model" ? `${below}?group=shop/user` : below,
            method === "get" ? undefined : policyOf({}),
          );
          if (method === "get") {
            read.push(`${below} ${status}`);
            // Who has tokens is for operators; what is not there by this name may be looked for all the same.
            const wanted = below === "tokens" ? [403] : [200, 404];
            expect([below, status, wanted.includes(status)]).toEqual([below, status, true]);
          } else {
            refused.push(below);
            expect([below, method, status]).toEqual([below, method, 403]);
          }
        }
      }
      expect(read.length).toBeGreaterThanOrEqual(10);
      expect(refused.length).toBeGreaterThanOrEqual(10);
      expect(read.filter((line) => line.endsWith("200")).length).toBeGreaterThanOrEqual(8);
      expect(await operator.get("policy")).toEqual(before);

      const file = join(processes.folder("policy"), "policy.json");
      writeFileSync(file, JSON.stringify(policyOf({ defaultMode: "prevent" })));
      const run = (args: string[]): ReturnType<typeof runCommand> =>
        runCommand(processes, gatewayRuntime, gateway, args, { NETWALL_ADMIN_TOKEN: token });
      const applied = await run(["policy", "apply", file]);
      expect([applied.code, applied.stdout]).toEqual([3, ""]);
      expect(applied.stderr).toMatch(/viewer|operator/);
      expect(applied.stderr).not.toContain(token);
      expect((await run(["groups"])).code).toBe(0);
      expect((await new Operator(gateway, randomBytes(32).toString("hex")).ask("GET", "status")).status).toBe(
        401,
      );
      expect(
        (await new Operator(gateway, await mintWorkload(gateway.data, "user")).ask("GET", "status")).status,
      )
        .toBe(401);
      expect(await operator.get("policy")).toEqual(before);
    }, TEST_MS_MAX);

    test("who guesses at tokens of agents is slowed and told of, and no agent is kept out", async () => {
      const [header, claims] = (await mintWorkload(gateway.data, "user")).split(".");
      const answers: RawResponse[] = [];
      for (let i = 0; i < GUESSES; i++) {
        // A real head and real claims: only the signature is guessed.
        answers.push(await guess(`${header}.${claims}.${randomBytes(64).toString("base64url")}`));
      }
      const seen = answers.map(({ status }) => status);
      expect(seen.slice(0, FAILURES_FREE + 1)).toEqual(Array(FAILURES_FREE + 1).fill(401));
      const slowed = answers.filter(({ status }) => status === 429);
      expect(slowed.length).toBeGreaterThanOrEqual(GUESSES - FAILURES_FREE - 5);
      expect(seen.every((status) => status === 401 || status === 429)).toBe(true);
      for (const answer of slowed) expect(Number(answer.field("retry-after"))).toBeGreaterThan(0);
      const event = await operator.event("the guesses", ({ type }) => type === "authFailure");
      expect(event).toMatchObject({ verdict: "dropped", source: { name: "link", ip: "127.0.0.1" } });
      await gateway.process.waitFor("stderr", /looked at slowly from now on/);

      // The guesser goes on. Who was linked before comes back at once, and a new one soon.
      const isOn = { guessing: true };
      const guessing = (async () => {
        while (isOn.guessing) await guess(randomBytes(100).toString("base64url"));
      })();
      expect(await user.stop()).toMatchObject({ code: 0 });
      const args = ["--reach", "web=127.0.0.1:0"];
      const again = await startAgent(processes, agentRuntime, gateway, { args, token: knownToken });
      expect((await request(await reachDoor(again, "web"), get("/"))).status).toBe(200);
      isOn.guessing = false;
      await guessing;
      const fresh = await startWorkload(processes, agentRuntime, gateway, {
        ...{ name: "payment", args },
      });
      expect((await request(await reachDoor(fresh, "web"), get("/"))).status).toBe(200);
      const failures = async (): Promise<number> =>
        (await operator.events("&type=authFailure")).reduce((sum, { count }) => sum + count, 0);
      await eventually(failures, (count) => count > FAILURES_FREE);
    }, TEST_MS_MAX);
  });
}
