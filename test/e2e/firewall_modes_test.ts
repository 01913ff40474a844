/**
 * The three modes in all three directions: what is learned passes, what is not is told and then refused, and each event
 * says which container, from where, to where, by which rule, and what was done.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { hostname } from "node:os";
import type { NetwallEvent } from "../../lib/events/event.ts";
import {
  groupId,
  NAMESPACE,
  Operator,
  startCommand,
  startFirewall,
  startWorkload,
} from "../support/firewall_wall.ts";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { answer, get, RawConnection, RawTarget, readHead, request } from "./raw.ts";
import { proxyDoor, reachDoor, TcpEnd, TcpTarget } from "./tcp_wall.ts";
import { CROSS, eventually, portOf, type RunningGateway, TEST_MS_MAX } from "./wall.ts";

const CONTAINERS: Readonly<Record<string, string>> = {
  "front-end": "f0".repeat(32),
  "user-db": "db".repeat(32),
  user: "0a".repeat(32),
};
/** Denied requests that are to become one event. */
const DENIED = 25;

const processes = useProcesses();
let web: RawTarget;
let database: TcpTarget;
let verifier: TcpTarget;
let stranger: TcpTarget;

beforeAll(async () => {
  web = await RawTarget.start();
  web.on("/missing", (connection) => connection.write(answer(404, "none")));
  database = await TcpTarget.echo();
  verifier = await TcpTarget.echo();
  stranger = await TcpTarget.echo();
});
afterAll(() => {
  web?.close();
  for (const target of [database, verifier, stranger]) target?.close();
});

/** One connection that is used: what came back, or how it was refused. */
async function echo(at: number | string): Promise<string> {
  const end = await TcpEnd.connect(at);
  end.write("echo");
  const text = (await end.take(4)).toString();
  const how = text === "echo" ? text : await end.gone();
  end.destroy();
  return how;
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let operator: Operator;
    let front: RunningProcess;
    let user: RunningProcess;
    let follower: RunningProcess;
    let ends: Record<string, object>;

    const start = (name: string, args: string[]): Promise<RunningProcess> =>
      startWorkload(processes, agentRuntime, gateway, {
        ...{ name, args },
        env: { NETWALL_CONTAINER_NAME: `${name}-name`, NETWALL_CONTAINER_ID: CONTAINERS[name]! },
      });
    const end = (name: string): object => ({
      ...{
        kind: "workload",
        name: groupId(name),
        namespace: NAMESPACE,
        image: `${name}:1.0`,
        agent: `${name}-1`,
      },
      claimedContainerId: CONTAINERS[name],
      claimedContainerName: `${name}-name`,
      claimedHostname: hostname(),
    });
    const visit = async (text: string): Promise<number> => (await request(gateway.port, text)).status;
    const call = async (text: string): Promise<number> =>
      (await request(await reachDoor(user, "web"), text)).status;
    const query = async (): Promise<string> => echo(await reachDoor(user, "user-db"));
    /** A tunnel through the proxy: its status. */
    const tunnel = async (agent: RunningProcess, port: number): Promise<number> => {
      const connection = await RawConnection.open(portOf(await proxyDoor(agent)));
      connection.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
      const { line } = await readHead(connection);
      connection.destroy();
      return Number(line.split(" ")[1]);
    };

    beforeAll(async () => {
      const open = [verifier.port, stranger.port].flatMap((
        port,
      ) => ["--allow-egress", `127.0.0.0/8:${port}`]);
      gateway = await startFirewall(processes, gatewayRuntime, open);
      operator = new Operator(gateway);
      await start("user-db", ["--serve", `user-db=tcp://127.0.0.1:${database.port}`]);
      front = await start("front-end", [
        ...["--serve", `web=${web.url}`, "--reach", "user-db=127.0.0.1:0", "--egress", "127.0.0.1:0"],
      ]);
      user = await start("user", [
        ...["--reach", "web=127.0.0.1:0", "--reach", "user-db=127.0.0.1:0", "--egress", "127.0.0.1:0"],
      ]);
      follower = startCommand(processes, gatewayRuntime, gateway, ["events", "--follow", "--json"]);
      ends = {
        front: { ...end("front-end"), service: "web", port: web.port },
        database: { ...end("user-db"), service: "user-db", port: database.port },
        user: end("user"),
        visitor: { kind: "network", name: "internet", ip: "127.0.0.1" },
      };
    });

    /** What `events --follow --json` has printed. */
    const followed = (): NetwallEvent[] =>
      follower.stdout().split("\n").slice(0, -1).map((line) => JSON.parse(line) as NetwallEvent);

    test("in learn everything passes, and no event says a word", async () => {
      const ofTraffic = async (): Promise<NetwallEvent[]> =>
        (await operator.events()).filter(({ type }) => type !== "policyChange");
      for (let i = 0; i < 3; i++) {
        expect([await visit(get("/")), await call(get("/api")), await query()]).toEqual([200, 200, "echo"]);
        expect(await tunnel(user, verifier.port)).toBe(200);
      }
      // An error answer teaches nothing.
      expect(await visit(get("/missing"))).toBe(404);
      expect(await ofTraffic()).toEqual([]);
    }, TEST_MS_MAX);

    test("in alert what was learned is silent, and all else passes as an event", async () => {
      for (const name of ["front-end", "user-db", "user"]) await operator.setMode(name, "alert");
      expect([await visit(get("/")), await call(get("/api")), await query()]).toEqual([200, 200, "echo"]);
      expect(await tunnel(user, verifier.port)).toBe(200);

      const userAgent = "User-Agent: probe/1";
      expect(await visit(get("/missing", ["Host: shop.test:8080", userAgent]))).toBe(404);
      expect(await call(get("/api", ["Content-Length: 2", "Content-Type: text/x-odd; a=b"], "PUT") + "ab"))
        .toBe(200);
      expect(await echo(await reachDoor(front, "user-db"))).toBe("echo");
      expect(await tunnel(user, stranger.port)).toBe(200);

      const alert = {
        effect: "alert",
        verdict: "audited",
        mode: "alert",
        pendingVerdict: "dropped",
        count: 1,
      };
      const rule = { kind: "implicit" };
      const isOf = (direction: string, protocol: string) => (event: NetwallEvent): boolean =>
        event.direction === direction && event.protocol === protocol && event.http?.status !== 0 &&
        (protocol === "tcp" || event.http?.status !== undefined);
      expect(await operator.event("the visitor", isOf("north-south", "http"))).toMatchObject({
        ...{ ...alert, rule, type: "unexpectedRequest", deviation: { kind: "route" } },
        ...{ source: ends["visitor"], destination: ends["front"] },
        http: { method: "GET", host: "shop.test", path: "/missing", status: 404, userAgent: "probe/1" },
      });
      expect(await operator.event("the call", isOf("east-west", "http"))).toMatchObject({
        ...{ ...alert, rule, type: "unexpectedRequest", source: ends["user"], destination: ends["front"] },
        http: { method: "PUT", path: "/api", status: 200, contentType: "text/x-odd" },
      });
      const shell = await operator.event("the shell", isOf("east-west", "tcp"));
      expect(shell).toMatchObject({
        ...{
          ...alert,
          rule,
          type: "unexpectedConnection",
          severity: "critical",
          deviation: { kind: "edge" },
        },
        ...{ source: end("front-end"), destination: ends["database"] },
      });
      expect(Math.abs(Date.now() - shell.time)).toBeLessThan(TEST_MS_MAX);
      expect(await operator.event("the way out", isOf("egress", "tcp"))).toMatchObject({
        ...{ ...alert, rule, type: "unexpectedConnection", source: ends["user"] },
        destination: {
          kind: "host",
          name: `127.0.0.1:${stranger.port}`,
          host: "127.0.0.1",
          port: stranger.port,
        },
      });
      // The four that nobody had learned, and nothing of what was.
      expect((await operator.events()).filter(({ type }) => type.startsWith("unexpected"))).toHaveLength(4);
    }, TEST_MS_MAX);

    test("in prevent the same is refused, and what was learned still works", async () => {
      for (const name of ["front-end", "user-db", "user"]) await operator.setMode(name, "prevent");
      const before = [web.seen.length, database.ends.length, stranger.ends.length];
      for (let i = 0; i < DENIED; i++) expect(await visit(get(`/missing?${i}`))).toBe(403);
      expect(await call(get("/other"))).toBe(403);
      expect(await echo(await reachDoor(front, "user-db"))).toBe("ECONNRESET");
      expect(await tunnel(user, stranger.port)).toBe(403);
      // Nothing of it came to its target.
      expect([web.seen.length, database.ends.length, stranger.ends.length]).toEqual(before);

      expect([await visit(get("/")), await call(get("/api")), await query()]).toEqual([200, 200, "echo"]);
      expect(await tunnel(user, verifier.port)).toBe(200);

      const prevent = { effect: "prevent", verdict: "dropped", mode: "prevent", rule: { kind: "implicit" } };
      const isDropped = (direction: string, protocol: string, count = 1) => (event: NetwallEvent): boolean =>
        event.direction === direction && event.protocol === protocol && event.verdict === "dropped" &&
        event.count === count;
      expect(await operator.event("the visitor", isDropped("north-south", "http", DENIED))).toMatchObject({
        ...{ ...prevent, type: "unexpectedRequest", source: ends["visitor"], destination: ends["front"] },
        http: { method: "GET", path: "/missing", status: 403 },
      });
      expect(await operator.event("the call", isDropped("east-west", "http"))).toMatchObject({
        ...{ ...prevent, type: "unexpectedRequest", source: ends["user"], destination: ends["front"] },
        http: { method: "GET", path: "/other", status: 403 },
      });
      expect(await operator.event("the shell", isDropped("east-west", "tcp"))).toMatchObject({
        ...{
          ...prevent,
          type: "unexpectedConnection",
          source: end("front-end"),
          destination: ends["database"],
        },
      });
      expect(await operator.event("the way out", isDropped("egress", "tcp"))).toMatchObject({
        ...{ ...prevent, type: "unexpectedConnection", source: ends["user"] },
      });
      const dropped = (await operator.events()).filter(({ verdict }) => verdict === "dropped");
      expect(dropped).toHaveLength(4);
    }, TEST_MS_MAX);

    test("one click allows what an event was about, for that image alone", async () => {
      const isShell = ({ direction, protocol, verdict }: NetwallEvent): boolean =>
        direction === "egress" && protocol === "tcp" && verdict === "dropped";
      const event = await operator.event("the way out", isShell);
      const { status, body } = await operator.ask("POST", `events/${event.id}/allow`);
      expect([status, body.rule.effect, body.rule.source]).toEqual([201, "allow", {
        ...{ namespace: NAMESPACE, image: "user" },
      }]);
      expect(await tunnel(user, stranger.port)).toBe(200);
      expect(await tunnel(front, stranger.port)).toBe(403);
    }, TEST_MS_MAX);

    test("who follows has had every event, live, in its last state", async () => {
      const stored = await operator.events();
      expect(stored.length).toBeGreaterThan(10);
      const newest = (): Map<string, NetwallEvent> => new Map(followed().map((event) => [event.id, event]));
      await eventually(
        () =>
          stored.filter(({ id, seq }) => (newest().get(id)?.seq ?? -1) < seq).map(({ message }) => message),
        (missing) => missing.length === 0,
      );
      // Live, and not read at the end: those that grew were printed in between.
      expect(followed().length).toBeGreaterThan(stored.length);
      const seqs = followed().map(({ seq }) => seq);
      expect(seqs).toEqual([...seqs].sort((a, b) => a - b));
      expect(await follower.stop("SIGINT")).toMatchObject({ signal: null });
    }, TEST_MS_MAX);

    test("the gateway ends in order", async () => {
      expect(await gateway.process.stop()).toMatchObject({ code: 0 });
      expect(gateway.process.stderr()).not.toMatch(/"fault"|panic|Unhandled/);
    }, TEST_MS_MAX);
  });
}
