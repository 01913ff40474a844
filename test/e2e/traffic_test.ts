/**
 * What people see of the traffic, end to end: counts, the last requests, recorded bodies, and a request that is sent
 * once more, on the way of every request.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import http, { type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { RawVisitor } from "../support/raw_http.ts";
import { mintCaller, reachDoor, tcpPorts, TcpTarget } from "./tcp_wall.ts";
import { CROSS, eventually, type RunningGateway, startAgent, startGateway, TEST_MS_MAX } from "./wall.ts";

const S = "hunter2SECRETvalue";

const processes = useProcesses();
/** What the service was sent, in order. */
const seen: { method: string; url: string; fields: string[]; body: string }[] = [];
let origin: Server;
let database: TcpTarget;

function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const chunks: Uint8Array[] = [];
  incoming.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  incoming.on("end", () => {
    const body = Buffer.concat(chunks).toString("latin1");
    const { method = "", url = "" } = incoming;
    seen.push({ method, url, fields: incoming.rawHeaders, body });
    if (url.startsWith("/stream")) {
      outgoing.writeHead(200, { "Content-Type": "text/plain" });
      for (let i = 0; i < 40; i++) outgoing.write("0123456789abcdef".repeat(256));
      return void outgoing.end();
    }
    const text = gzipSync(JSON.stringify({ token: S, count: url.startsWith("/count") ? seen.length : 0 }));
    outgoing.writeHead(url.startsWith("/missing") ? 404 : 200, {
      "Content-Type": "application/json",
      "Content-Encoding": "gzip",
      "Set-Cookie": [`sid=${S}; Path=/`, "theme=dark"],
      "Content-Length": text.length,
    });
    outgoing.end(text);
  });
}

beforeAll(async () => {
  origin = http.createServer(answer);
  origin.on("upgrade", (_incoming, socket) => {
    socket.on("error", () => {});
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => origin.listen(0, "127.0.0.1", resolve));
  database = await TcpTarget.start(({ socket }) => void socket.pipe(socket));
});
afterAll(() => {
  origin.close();
  origin.closeAllConnections();
  database.close();
});

// deno-lint-ignore no-explicit-any -- answers of several routes are looked into
type Json = any;

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let caller: RunningProcess;
    const visitors: RawVisitor[] = [];

    beforeAll(async () => {
      const doors = ["--admin", "127.0.0.1:0", "--tcp", "127.0.0.1:0=db"];
      gateway = await startGateway(processes, gatewayRuntime, { args: ["--route", "*=web", ...doors] });
      const { port } = origin.address() as AddressInfo;
      const serve = [
        "--serve",
        `web=http://127.0.0.1:${port}`,
        "--serve",
        `db=tcp://127.0.0.1:${database.port}`,
      ];
      await startAgent(processes, agentRuntime, gateway, { name: "box", args: serve });
      const token = await mintCaller(gateway.data, { name: "shop-1", serve: [], reach: ["web"] });
      caller = await startAgent(processes, agentRuntime, gateway, {
        token,
        args: ["--reach", "web=127.0.0.1:0"],
      });
    });
    afterAll(() => {
      for (const visitor of visitors.splice(0)) visitor.close();
    });

    /** Asks the admin API; nothing that it ever says may hold the secret. */
    async function api(
      path: string,
      method = "GET",
      body?: string,
      type = "application/json",
    ): Promise<Json> {
      const token = readFileSync(join(gateway.data, "admin-token"), "utf8").trim();
      const headers = {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": type }),
      };
      const init = { method, headers, ...(body === undefined ? {} : { body }) };
      const got = await fetch(`http://${gateway.addresses["admin"]}/api/v1/${path}`, init);
      const text = await got.text();
      expect([path, text.includes(S)]).toEqual([path, false]);
      return { status: got.status, ...(text === "" ? {} : JSON.parse(text)) };
    }

    function visit(text: string, port = gateway.port): RawVisitor {
      const visitor = new RawVisitor(port).send(text);
      visitors.push(visitor);
      return visitor;
    }

    /** Waits for the newest request whose target begins so, and gives its summary. */
    async function kept(target: string, query = ""): Promise<Json> {
      const find = async (): Promise<Json> =>
        (await api(`requests?limit=100${query}`)).items.find((item: Json) => item.target.startsWith(target));
      return await eventually(find, (item) => item !== undefined);
    }

    const post = (path: string, body: string): string =>
      `POST ${path} HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer ${S}\r\nCookie: sid=${S}\r\n` +
      `Content-Type: application/json\r\nX-Odd: 1\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const get = (path: string, method = "GET"): string =>
      `${method} ${path} HTTP/1.1\r\nHost: shop.test\r\n\r\n`;

    test("requests and connections are counted by service, and told apart by how they ended", async () => {
      await visit(get(`/missing?token=${S}`)).answers(1);
      const head = visit(get("/a", "HEAD"));
      await head.untilText("\r\n\r\n");
      const stream = visit(get("/stream/1"));
      await stream.untilText("\r\n0\r\n\r\n");
      visit("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
      const database = visit("ping", tcpPorts(gateway)[0]!);
      await database.untilText("ping");
      database.socket.end();
      const traffic = await eventually(
        () => api("traffic?window=1h"),
        ({ services }) => services.length === 3,
      );
      const sum = (list: number[] = []): number => list.reduce((a, b) => a + b, 0);
      const told = traffic.services.map((each: Json) => [
        ...[each.service, each.protocol, sum(each.requests), sum(each.outBytes)],
        Object.fromEntries(Object.entries(each.classes).map(([name, list]) => [name, sum(list as number[])])),
      ]);
      const { responseBytes } = await kept("/missing");
      expect(told).toEqual([
        ["", "http", 1, 0, { "4xx": 1 }],
        ["db", "tcp", 1, 4, { closed: 1 }],
        ["web", "http", 3, 163_840 + responseBytes, { "2xx": 2, "4xx": 1 }],
      ]);
      const list = await api("requests?service=web&status=4xx");
      expect(list.items).toHaveLength(1);
      expect(list.items[0]).toMatchObject({
        ...{ service: "web", agent: "box", direction: "north-south", source: "127.0.0.1", method: "GET" },
        ...{ host: "shop.test", target: "/missing?token=[masked]", status: 404, recorded: "head" },
      });
      expect((await kept("/a")).method).toBe("HEAD");
      const record = await api(`requests/${list.items[0].id}`);
      expect(record.response.fields.filter(({ name }: Json) => name === "Set-Cookie")).toEqual([
        { name: "Set-Cookie", value: "sid=[masked]; Path=/" },
        { name: "Set-Cookie", value: "theme=[masked]" },
      ]);
    }, TEST_MS_MAX);

    test("bodies are recorded while that is on, cut at their bound, and shown without secrets", async () => {
      await api("recording", "PUT", JSON.stringify({ service: "web", minutes: 1, bodyBytesMax: 1_000 }));
      await visit(post("/recorded", JSON.stringify({ password: S, a: 1 }))).answers(1);
      const { id } = await kept("/recorded");
      const record = await api(`requests/${id}`);
      expect(record.request.body).toMatchObject({ format: "text", content: '{"password":"[masked]","a":1}' });
      expect(record.response.body).toMatchObject({
        ...{
          format: "text",
          content: '{"token":"[masked]","count":0}',
          contentEncoding: "gzip",
          isCut: false,
        },
      });
      await visit(get("/stream/2")).untilText("\r\n0\r\n\r\n");
      const stream = await api(`requests/${(await kept("/stream/2")).id}`);
      expect(stream.response.body).toMatchObject({ bytes: 163_840, isCut: true });
      expect(stream.response.body.content).toHaveLength(1_000);
      // What is said on an upgraded connection is nobody's body.
      const upgrade = `GET /up HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n`;
      const upgraded = visit(upgrade);
      await upgraded.untilText("\r\n\r\n");
      upgraded.send(S);
      await upgraded.untilText(S);
      upgraded.socket.end();
      expect(await kept("/up")).toMatchObject({ status: 101, recorded: "head" });
      expect((await api("recording?service=web", "DELETE")).status).toBe(204);
      await visit(get("/later")).answers(1);
      expect((await kept("/later")).recorded).toBe("head");
    }, TEST_MS_MAX);

    test(
      "a request that was recorded reaches the service once more as it was, and its answer is compared",
      async () => {
        await api("recording", "PUT", JSON.stringify({ service: "web", minutes: 1 }));
        const body = JSON.stringify({ password: S });
        await visit(post(`/count?token=${S}`, body)).answers(1);
        const { id } = await kept("/count");
        const report = await api(`requests/${id}/replay`, "POST");
        expect(report).toMatchObject({
          status: 200,
          omitted: [],
          original: { status: 200 },
          answer: { status: 200 },
        });
        expect(report.differences.map(({ part }: Json) => part)).toContain("body");
        expect(report.answer.body.content).toMatch(/^\{"token":"\[masked\]","count":\d+\}$/);
        const [first, again] = seen.filter(({ url }) => url === `/count?token=${S}`).slice(-2);
        expect(again).toEqual(first!);
        expect(await kept("/count")).toMatchObject({ id: report.id, replayOf: id, source: "127.0.0.1" });
        await api("recording?service=web", "DELETE");
        expect((await api(`requests/${(await kept("/later")).id}/replay`, "POST")).differences).toEqual([]);
        expect((await api(`requests/${(await kept("/up")).id}/replay`, "POST")).status).toBe(409);
      },
      TEST_MS_MAX,
    );

    test("a call between agents goes once more as its caller, and what is denied now is denied", async () => {
      await visit(get("/east"), await reachDoor(caller, "web") as number).answers(1);
      const item = await kept("/east");
      expect(item).toMatchObject({ direction: "east-west", source: "default/~shop-1", service: "web" });
      const report = await api(`requests/${item.id}/replay`, "POST");
      expect(report.answer.status).toBe(200);
      expect(seen.at(-1)!.fields.join(" ")).toContain("for=_shop-1");
      const policy = "apiVersion: netwall/v1\nkind: Policy\nspec:\n  rules:\n" +
        '  - id: no-calls\n    source: { namespace: default, image: "~shop-1" }\n    effect: prevent\n';
      const applied = await api("policy", "PUT", policy, "application/yaml");
      expect(applied.status).toBe(200);
      const before = seen.length;
      const denied = await api(`requests/${item.id}/replay`, "POST");
      expect(denied).toMatchObject({ original: { status: 200 }, answer: { status: 403 } });
      expect(seen.length).toBe(before);
      expect(await kept("/east")).toMatchObject({ status: 403, verdict: "dropped", rule: "no-calls" });
      caller.kill();
      const left = await eventually(
        () => api(`requests/${item.id}/replay`, "POST"),
        ({ status }) => status === 409,
      );
      expect(left.detail).toContain("shop-1");
    }, TEST_MS_MAX);
  });
}
