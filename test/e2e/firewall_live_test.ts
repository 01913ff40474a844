/**
 * What is under way when a policy changes: each stream that it denies is cut off at once and as an abort, all others
 * go on, and a rollback lets new ones in.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import process from "node:process";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { groupId, Operator, runCommand, startFirewall, startWorkload } from "../support/firewall_wall.ts";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { chunk, get, RawConnection, RawTarget, readHead, request } from "./raw.ts";
import { proxyDoor, reachDoor, TcpEnd, tcpPorts, TcpTarget } from "./tcp_wall.ts";
import { PAIRINGS, portOf, type RunningGateway, TEST_MS_MAX } from "./wall.ts";

/** Within this a stream must be cut. Measured: 25 to 125 ms on two busy cores. */
const CUT_MS_MAX = 5_000;
const DRIP_MS = 20;

const UPGRADE = [
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

const processes = useProcesses();
let web: RawTarget;
let database: TcpTarget;
let outside: TcpTarget;

/** Writes without an end, until the other side is gone. */
async function drip(connection: RawConnection, head: string, piece: string): Promise<void> {
  connection.write(head);
  while (!connection.isOver) {
    connection.write(piece);
    await new Promise((resolve) => setTimeout(resolve, DRIP_MS));
  }
}

beforeAll(async () => {
  web = await RawTarget.start();
  const plain = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n";
  for (const path of ["/drip", "/inside", "/free/drip"]) {
    web.on(path, (connection) => drip(connection, plain, "0123456789"));
  }
  web.on("/sse", (connection) => drip(connection, chunked, chunk("data: tick\n\n")));
  for (const path of ["/hang", "/upload"]) web.on(path, () => {});
  web.on("/ws", (connection) => {
    connection.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    );
    connection.socket.pipe(connection.socket);
  });
  database = await TcpTarget.echo();
  outside = await TcpTarget.echo();
});
afterAll(() => {
  web?.close();
  database?.close();
  outside?.close();
});

/** One stream that is open, as its caller sees it. */
interface Live {
  readonly end: TcpEnd;
  /** Settles with how it ended, all that came, and when. */
  readonly over: Promise<{ readonly how: string; readonly text: string; readonly atMs: number }>;
}

/** Opens a stream: sends what it begins with, and waits for what shows that it stands. */
async function open(at: number | string, first: string, shown: RegExp, second?: string): Promise<Live> {
  const end = await TcpEnd.connect(at);
  let text = "";
  end.socket.on("data", (data) => text += data.toString("latin1"));
  end.write(first);
  const answered = async (pattern: RegExp): Promise<void> => {
    await end.until(() => pattern.test(text) || end.closed || end.ended, () => `${pattern} in ${text}`);
    if (!pattern.test(text)) throw new Error(`The stream ended without ${pattern}: ${JSON.stringify(text)}`);
  };
  await answered(shown);
  if (second !== undefined) {
    end.write(second);
    await answered(new RegExp(second));
  }
  const over = end.gone(60_000).then((how) => ({ how, text, atMs: performance.now() }));
  over.catch(() => {});
  return { end, over };
}

/** Every direction and kind of stream that the gateway carries is denied by one of these. */
const DENYING = [
  { id: "free", destination: { service: "web" }, http: { paths: ["/free/**"] }, effect: "allow" },
  { id: "no-web", direction: "north-south", destination: { service: "web" }, effect: "prevent" },
  { id: "no-database", direction: "north-south", destination: { service: "user-db" }, effect: "prevent" },
  {
    id: "no-web-inside",
    direction: "east-west",
    source: { image: "user" },
    destination: { service: "web" },
    effect: "prevent",
  },
  {
    id: "no-database-inside",
    direction: "east-west",
    source: { image: "user" },
    destination: { service: "user-db" },
    effect: "prevent",
  },
  {
    id: "no-outside",
    direction: "egress",
    source: { image: "user" },
    destination: { cidr: "127.0.0.0/8" },
    effect: "prevent",
  },
];

for (const [gatewayRuntime, agentRuntime] of PAIRINGS) {
  describe(`gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let operator: Operator;
    let user: RunningProcess;
    let payment: RunningProcess;
    let rawPort: number;
    let connect: string;

    beforeAll(async () => {
      gateway = await startFirewall(processes, gatewayRuntime, [
        ...["--tcp", "127.0.0.1:0=user-db", "--allow-egress", `127.0.0.0/8:${outside.port}`],
      ]);
      operator = new Operator(gateway);
      rawPort = tcpPorts(gateway)[0]!;
      connect = `CONNECT 127.0.0.1:${outside.port} HTTP/1.1\r\nHost: 127.0.0.1:${outside.port}\r\n\r\n`;
      const doors = [
        "--reach",
        "web=127.0.0.1:0",
        "--reach",
        "user-db=127.0.0.1:0",
        "--egress",
        "127.0.0.1:0",
      ];
      const start = (name: string, args: string[]): Promise<RunningProcess> =>
        startWorkload(processes, agentRuntime, gateway, { name, args });
      await Promise.all([
        start("front-end", ["--serve", `web=${web.url}`]),
        start("user-db", ["--serve", `user-db=tcp://127.0.0.1:${database.port}`]),
      ]);
      [user, payment] = await Promise.all([start("user", doors), start("payment", doors)]) as [
        RunningProcess,
        RunningProcess,
      ];
    });

    test("every stream that a new policy denies is cut off, and no other", async () => {
      const proxy = portOf(await proxyDoor(user));
      const kept: Record<string, Live> = {
        "what an earlier rule allows": await open(gateway.port, get("/free/drip"), /0123456789/),
        "the raw call of another image": await open(await reachDoor(payment, "user-db"), "echo", /echo/),
        "the call outside of another image": await open(
          portOf(await proxyDoor(payment)),
          connect,
          /^HTTP\/1\.1 200 .*\r\n\r\n/s,
          "out",
        ),
      };
      const aborted: Record<string, Live> = {
        "a download": await open(gateway.port, get("/drip"), /0123456789/),
        "server-sent events": await open(gateway.port, get("/sse"), /data: tick/),
        "a WebSocket": await open(
          gateway.port,
          get("/ws", UPGRADE),
          /^HTTP\/1\.1 101 .*\r\n\r\n/s,
          "free text",
        ),
        "a raw connection from outside": await open(rawPort, "echo", /echo/),
        "a raw call": await open(await reachDoor(user, "user-db"), "echo", /echo/),
        "a download of another workload": await open(
          await reachDoor(user, "web"),
          get("/inside"),
          /0123456789/,
        ),
        "a call outside": await open(proxy, connect, /^HTTP\/1\.1 200 .*\r\n\r\n/s, "out"),
      };
      // Their heads were not sent, so they can be told.
      const headless = ["/hang", "/upload"];
      web.seen.length = 0;
      const asked = headless.map((path) =>
        request(
          gateway.port,
          path === "/hang" ? get(path) : `${get(path, ["Content-Length: 100"], "POST")}half of it`,
        )
      );
      for (const path of headless) await web.request(path);

      const startMs = performance.now();
      const { version, cut } = await operator.apply({ rules: DENYING });
      const names = Object.keys(aborted);
      expect([version, cut]).toEqual([2, names.length + headless.length]);
      const took: string[] = [];
      for (const [name, { end, over }] of Object.entries(aborted)) {
        await end.until(() => end.closed || end.ended, () => `the end of ${name}`, CUT_MS_MAX);
        const { how, text, atMs } = await over;
        took.push(`${name} ${Math.round(atMs - startMs)} ms (${how})`);
        // Neither the last chunk nor a polite goodbye: what came must not look whole.
        const isWhole = text.endsWith("0\r\n\r\n") || text.includes("\x88");
        expect([name, how, isWhole]).toEqual([name, "ECONNRESET", false]);
      }
      for (const answer of await Promise.all(asked)) {
        expect([answer.status, answer.field("content-type")]).toEqual([403, "application/problem+json"]);
      }
      if (process.env["TEST_TIMES"]) process.stderr.write(`cut off: ${took.join(", ")}\n`);

      for (const [name, { end }] of Object.entries(kept)) {
        const before = end.readBytes;
        if (!name.includes("rule")) end.write("still here");
        await end.until(() => end.readBytes > before, () => `more of ${name}`, CUT_MS_MAX);
        expect([name, end.closed, end.ended]).toEqual([name, false, false]);
        end.destroy();
      }
    }, TEST_MS_MAX);

    test("each of them is an event with the rule that did it", async () => {
      const isOf = (rule: string) => ({ verdict, rule: { id } }: NetwallEvent): boolean =>
        id === rule && verdict === "dropped";
      const rules = DENYING.filter(({ effect }) => effect === "prevent");
      for (const { id, direction } of rules) {
        const event = await operator.event(`the rule ${id}`, isOf(id));
        const of = { type: "policyRule", effect: "prevent", mode: "learn", direction, policyVersion: 2 };
        expect(event).toMatchObject({ ...of, rule: { kind: "rule", id } });
        if (direction !== "north-south") expect(event.source?.name).toBe(groupId("user"));
      }
      expect(rules).toHaveLength(5);
    }, TEST_MS_MAX);

    test("new ones are refused, and let in again after a rollback", async () => {
      const proxy = portOf(await proxyDoor(user));
      const inside = await reachDoor(user, "web");
      const raw = await reachDoor(user, "user-db");
      const echo = async (at: number | string): Promise<string> => {
        const end = await TcpEnd.connect(at);
        end.write("echo");
        const text = (await end.take(4)).toString();
        const how = text === "echo" ? text : await end.gone();
        end.destroy();
        return how;
      };
      const status = async (at: number | string, text: string): Promise<number> => {
        const connection = await RawConnection.open(at);
        connection.write(text);
        const { line } = await readHead(connection);
        connection.destroy();
        return Number(line.split(" ")[1]);
      };
      const all = async (): Promise<unknown[]> => [
        await status(gateway.port, get("/x")),
        await status(gateway.port, get("/free/x")),
        await status(inside, get("/x")),
        await status(proxy, connect),
        await echo(rawPort),
        await echo(raw),
      ];
      expect(await all()).toEqual([403, 200, 403, 403, "ECONNRESET", "ECONNRESET"]);
      const { code, stdout, stderr } = await runCommand(processes, gatewayRuntime, gateway, [
        ...["policy", "rollback", "1"],
      ]);
      expect([code, stdout, stderr]).toEqual([0, "Rolled back: version 3 is in force\n", ""]);
      expect(await all()).toEqual([200, 200, 200, 200, "echo", "echo"]);
    }, TEST_MS_MAX);

    test("the gateway and the agents end in order", async () => {
      expect(await user.stop()).toMatchObject({ code: 0 });
      expect(await payment.stop()).toMatchObject({ code: 0 });
      expect(await gateway.process.stop()).toMatchObject({ code: 0 });
    }, TEST_MS_MAX);
  });
}
