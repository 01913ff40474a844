/**
 * Apps in the agent's own process, which listen on no port, and targets that are reached with `fetch`.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type RunningProcess, useProcesses } from "../support/processes.ts";
import { answer, chunk, fieldOf, get, RawConnection, RawTarget, readBody, readHead, request } from "./raw.ts";
import {
  ensureBuilt,
  type Pairing,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const PAIRS: readonly Pairing[] = [["bun", "deno"], ["deno", "bun"], ["bundle-deno", "bundle-bun"], [
  "executable",
  "executable",
]];

/** What runs behind the wall: any module of this shape. */
const APP = `
let aborted = 0;
const text = new TextEncoder();
export default {
  async fetch(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    switch (pathname) {
      case "/echo":
        return new Response(request.body, { headers: { "x-method": request.method } });
      case "/facts":
        return Response.json({ url: request.url, search, headers: [...request.headers] });
      case "/cookies": {
        const headers = new Headers();
        headers.append("set-cookie", "a=1");
        headers.append("set-cookie", "b=2");
        return new Response("ok", { status: 201, headers });
      }
      case "/none":
        return new Response(null, { status: 204 });
      case "/throws":
        throw new Error("a secret of the app");
      case "/breaks":
        return new Response(new ReadableStream({
          async pull(controller) {
            controller.enqueue(text.encode("part"));
            await new Promise((resolve) => setTimeout(resolve, 50));
            controller.error(new Error("broken"));
          },
        }));
      case "/events":
        request.signal.addEventListener("abort", () => aborted++);
        return new Response(new ReadableStream({
          start(controller) {
            controller.enqueue(text.encode("data: 1\\n\\n"));
          },
        }), { headers: { "content-type": "text/event-stream" } });
      case "/aborted":
        return new Response(String(aborted));
      default:
        return new Response("from the app");
    }
  },
};
`;

const processes = useProcesses();

/** The inodes of sockets that listen, IPv4 and IPv6, of a process. */
function listeningSockets(pid: number): string[] {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return "";
      }
    }),
  );
  return ["tcp", "tcp6"].flatMap((table) =>
    readFileSync(`/proc/net/${table}`, "utf8").split("\n").slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter((columns) => columns[3] === "0A" && own.has(`socket:[${columns[9]}]`))
      .map((columns) => columns[1]!)
  );
}

for (const [gatewayRuntime, agentRuntime] of PAIRS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let agent: RunningProcess;
    let target: RawTarget;
    let port = 0;
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    beforeAll(async () => {
      target = await RawTarget.start();
      ensureBuilt(gatewayRuntime);
      ensureBuilt(agentRuntime);
      const file = join(processes.folder("app"), "app.ts");
      writeFileSync(file, APP);
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=app", "--route", "fetch.test=fetch"],
      });
      port = gateway.port;
      const args = ["--app", file, "--as", "app", "--serve", `fetch=${target.url}`, "--replay", "fetch"];
      agent = await startAgent(processes, agentRuntime, gateway, { args });
    });
    afterAll(async () => {
      target?.close();
      await agent?.stop();
      await gateway?.process.stop();
    });

    it("the app answers, and the agent listens on nothing", async () => {
      const response = await request(port, get("/"));
      expect([response.status, response.text()]).toEqual([200, "from the app"]);
      expect(listeningSockets(agent.pid)).toEqual([]);
      // The same look at the gateway finds what listens, so it can find something.
      expect(listeningSockets(gateway.process.pid)).toHaveLength(1);
    });

    it("the request is the visitor's", async () => {
      const response = await request(
        port,
        get("/facts?a=%20b", ["X-One: 1", "Cookie: a=1", "X-Two: caf\xe9"]),
      );
      const facts = JSON.parse(response.text()) as {
        url: string;
        search: string;
        headers: [string, string][];
      };
      expect(facts.url).toBe("http://web.test/facts?a=%20b");
      const headers = new Map(facts.headers);
      expect([headers.get("x-one"), headers.get("cookie"), headers.get("host")]).toEqual([
        "1",
        "a=1",
        "web.test",
      ]);
      expect(headers.get("x-forwarded-for")).toBe("127.0.0.1");
    });

    it("bodies stream through, large and chunked ones too", async () => {
      const sent = randomBytes(3 << 20);
      const head = get("/echo", [`Content-Length: ${sent.length}`], "POST");
      expect((await request(port, head, sent)).body.equals(sent)).toBe(true);
      const connection = await RawConnection.open(port);
      connection.write(get("/echo", ["Transfer-Encoding: chunked"], "PUT"));
      connection.write(chunk("one"));
      const answered = await readHead(connection);
      expect(fieldOf(answered, "x-method")).toBe("PUT");
      await connection.until(chunk("one"));
      connection.write(`${chunk("two")}0\r\n\r\n`);
      await connection.until(`${chunk("two")}0\r\n\r\n`);
      connection.destroy();
    });

    it("status, cookies and answers without a body", async () => {
      const cookies = await request(port, get("/cookies"));
      const values = cookies.fields.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) =>
        value
      );
      expect([cookies.status, values]).toEqual([201, ["a=1", "b=2"]]);
      expect((await request(port, get("/none"))).status).toBe(204);
      expect((await request(port, get("/", [], "HEAD"))).body).toHaveLength(0);
    });

    it("an app that throws is a 500 without its secrets; one that breaks off is cut off", async () => {
      const response = await request(port, get("/throws"));
      expect(response.status).toBe(500);
      expect(response.text()).not.toContain("secret");
      await agent.waitFor("stderr", /a secret of the app/);
      const visitor = await RawConnection.open(port);
      visitor.write(get("/breaks"));
      const { complete, body } = await readBody(visitor, await readHead(visitor), { untilEnd: true });
      expect([complete, body.toString().startsWith("part") || body.length === 0]).toEqual([false, true]);
      visitor.destroy();
      expect((await request(port, get("/"))).status).toBe(200);
    });

    it("a visitor who leaves aborts the request", async () => {
      const visitor = await RawConnection.open(port);
      visitor.write(get("/events"));
      await visitor.until("data: 1\n\n");
      visitor.destroy();
      let seen = "";
      const deadlineMs = Date.now() + 15_000;
      while (seen !== "1" && Date.now() < deadlineMs) seen = (await request(port, get("/aborted"))).text();
      expect(seen).toBe("1");
    });

    it("an upgrade is refused: an app has no socket", async () => {
      const fields = ["Connection: Upgrade", "Upgrade: websocket"];
      expect((await request(port, get("/", fields))).status).toBe(501);
    });

    it("with --replay fetch a target is asked by fetch", async () => {
      target.on("/path", async (connection, seen) => {
        const { body } = await readBody(connection, seen);
        connection.write(answer(201, body.toString(), ["Set-Cookie: a=1", "Set-Cookie: b=2", "X-Own: 1"]));
      });
      const response = await request(
        port,
        get("/path?q=1", ["Host: fetch.test", "Content-Length: 5"], "POST"),
        "hello",
      );
      expect([response.status, response.text(), response.field("x-own")]).toEqual([201, "hello", "1"]);
      const cookies = response.fields.filter(([name]) => name.toLowerCase() === "set-cookie");
      expect(cookies.map(([, value]) => value)).toEqual(["a=1", "b=2"]);
      const seen = await target.request("/path?q=1");
      expect(fieldOf(seen, "x-forwarded-host")).toBe("fetch.test");
      // Redirects are the visitor's to follow.
      target.on("/moved", (connection) => connection.write(answer(302, "", ["Location: /elsewhere"])));
      const moved = await request(port, get("/moved", ["Host: fetch.test"]));
      expect([moved.status, moved.field("location"), target.count("/elsewhere")]).toEqual([
        302,
        "/elsewhere",
        0,
      ]);
    });

    it("with --replay fetch an encoded body is what its fields say", async () => {
      const body = gzipSync("x".repeat(10_000));
      target.on("/gzip", (connection) => {
        connection.write(
          `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`,
        );
        connection.write(body);
      });
      const response = await request(port, get("/gzip", ["Host: fetch.test", "Accept-Encoding: gzip"]));
      const isEncoded = response.field("content-encoding") === "gzip";
      expect(response.complete).toBe(true);
      expect(response.body.equals(isEncoded ? body : Buffer.from("x".repeat(10_000)))).toBe(true);
    });

    it("with --replay fetch a target that is away is a failure of the gateway's, and not of the app", async () => {
      target.close();
      const response = await request(port, get("/path", ["Host: fetch.test"]));
      const error = response.field("proxy-status");
      expect([response.status, error]).toEqual([502, "netwall; error=destination_ip_unroutable"]);
      await agent.waitFor("stderr", /Cannot fetch from http:/);
      expect(response.text()).not.toMatch(/127\.0\.0\.1/);
    });
  });
}
