/**
 * What a visitor gets when something goes wrong: the right status before the head of an answer, and after it an end
 * that cannot be taken for a whole answer.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { freePort, type RunningProcess, useProcesses } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import {
  answer,
  chunk,
  get,
  RawConnection,
  type RawResponse,
  RawTarget,
  readBody,
  readHead,
  readResponse,
  request,
} from "./raw.ts";
import {
  CROSS,
  eventually,
  linkCount,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const STREAMS_MAX = 4;

const processes = useProcesses();
const curl = findBinary("curl");

/** What every answer of the gateway's own must hold. */
function expectProblem(response: RawResponse, status: number, proxyError?: string): void {
  expect([status, response.status, response.complete]).toEqual([status, status, true]);
  expect(response.field("content-type")).toBe("application/problem+json");
  expect(response.field("cache-control")).toBe("no-store");
  const problem = JSON.parse(response.text()) as Record<string, unknown>;
  expect(problem["status"]).toBe(status);
  expect(String(problem["detail"]).length).toBeGreaterThan(5);
  expect(problem["requestId"]).toBe(response.field("x-request-id"));
  expect(String(problem["requestId"]).length).toBeGreaterThan(8);
  expect(response.field("proxy-status")).toBe(
    proxyError === undefined ? undefined : `netwall; error=${proxyError}`,
  );
  if (status === 503) expect(Number(response.field("retry-after"))).toBeGreaterThan(0);
  // The cause is for the operator: no address, no port.
  expect(response.text()).not.toMatch(/127\.0\.0\.1|ECONN/);
}

/** Sends a reset instead of an end. */
function reset(connection: RawConnection): void {
  (connection.socket as Socket).resetAndDestroy();
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let target: RawTarget;
    let gateway: RunningGateway;
    let port = 0;
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    beforeAll(async () => {
      target = await RawTarget.start();
      const routes = ["web.test=web", "refused.test=refused", "away.test=away"];
      const limits = ["--answer-timeout", "400ms", "--body-bytes-max", "1KiB", "--head-timeout", "1s"];
      const streams = ["--streams-max", String(STREAMS_MAX)];
      gateway = await startGateway(processes, gatewayRuntime, {
        args: [...routes.flatMap((route) => ["--route", route]), ...limits, ...streams],
      });
      port = gateway.port;
      await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `web=${target.url}`, "--serve", `refused=http://127.0.0.1:${await freePort()}`],
      });
    });
    afterAll(() => target?.close());

    it("404 when no route fits", async () => {
      expectProblem(await request(port, get("/", ["Host: other.test"])), 404, "destination_not_found");
    });

    it("503 with Retry-After when no agent serves it", async () => {
      expectProblem(await request(port, get("/", ["Host: away.test"])), 503, "destination_unavailable");
    });

    it("502 when the target refuses the connection", async () => {
      expectProblem(await request(port, get("/", ["Host: refused.test"])), 502, "connection_refused");
      const post = get("/", ["Host: refused.test", "Content-Length: 2"], "POST");
      expectProblem(await request(port, post, "hi"), 502, "connection_refused");
    });

    it("502 when the target ends or resets before the head of its answer", async () => {
      target.on("/ends", (connection) => connection.end());
      target.on("/resets", reset);
      target.on("/half-head", (connection) => {
        connection.write("HTTP/1.1 200 OK\r\nContent-Le");
        connection.end();
      });
      for (const path of ["/ends", "/resets", "/half-head"]) {
        const response = await request(port, get(path));
        expectProblem(response, 502, /error=(\w+)/.exec(response.field("proxy-status") ?? "")?.[1]);
        expect(response.field("proxy-status")).toMatch(/^netwall; error=(connection_terminated|http_)/);
      }
    });

    it("502 for an answer that is no HTTP or has two readings", async () => {
      const heads = [
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
      ];
      let seen = 0;
      for (const head of heads) {
        const path = `/bad-${seen++}`;
        target.on(path, (connection) => {
          connection.write(head);
          connection.end();
        });
        const response = await request(port, get(path));
        expect([head, response.status]).toEqual([head, 502]);
        expectProblem(response, 502, "http_protocol_error");
      }
      expect(seen).toBe(heads.length);
    });

    it("504 when the head does not come in time, and the target is told", async () => {
      let ended: Promise<unknown> | undefined;
      target.on("/silent", async (connection) => void await (ended = connection.rest()));
      expectProblem(await request(port, get("/silent")), 504, "http_response_timeout");
      await ended;
    });

    it("413 for a declared and for a chunked body over the limit", async () => {
      const before = target.seen.length;
      expectProblem(await request(port, get("/", ["Content-Length: 1025"], "POST"), "x"), 413);
      expect(target.seen.length).toBe(before);
      target.on("/chunked", async (connection, seen) => {
        await readBody(connection, seen);
        connection.write(answer(200, "ok"));
      });
      const head = get("/chunked", ["Transfer-Encoding: chunked"], "POST");
      expectProblem(await request(port, head, chunk("x".repeat(1025))), 413);
      const fits = await request(port, head, chunk("x".repeat(1024)), "0\r\n\r\n");
      expect(fits.status).toBe(200);
    });

    it("431 for a head over the limit", async () => {
      const before = target.seen.length;
      const large = await request(port, get("/", [`X-Large: ${"x".repeat(33_000)}`]));
      expect(large.status).toBe(431);
      expect(target.seen.length).toBe(before);
    });

    it("503 over the limit of streams, and room again once one ends", async () => {
      const finish: (() => void)[] = [];
      target.on("/long", async (connection) => {
        connection.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        await new Promise<void>((resolve) => finish.push(resolve));
        connection.write("ok");
      });
      const visitors: RawConnection[] = [];
      for (let i = 0; i < STREAMS_MAX; i++) {
        const visitor = await RawConnection.open(port);
        visitor.write(get("/long"));
        expect((await readHead(visitor)).line).toMatch(/ 200 /);
        visitors.push(visitor);
      }
      const busy = await request(port, get("/"));
      expectProblem(busy, 503, /error=(\w+)/.exec(busy.field("proxy-status") ?? "")?.[1]);
      for (const resolve of finish) resolve();
      for (const visitor of visitors) {
        expect((await visitor.take(2)).toString()).toBe("ok");
        visitor.destroy();
      }
      await eventually(() => request(port, get("/")), ({ status }) => status === 200);
    });

    it("a page for browsers, with the same facts", async () => {
      const response = await request(port, get("/", ["Host: <b>.test", "Accept: text/html,*/*"]));
      expect(response.status).toBe(400);
      const page = await request(port, get("/<b>", ["Host: other.test", "Accept: text/html,*/*;q=0.8"]));
      expect([page.status, page.field("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
      expect(page.text()).toContain(page.field("x-request-id")!);
      expect(page.text()).not.toContain("<b>");
    });

    it("HEAD gets the status without a body", async () => {
      const connection = await RawConnection.open(port);
      connection.write(get("/", ["Host: other.test"], "HEAD"));
      expect((await readResponse(connection, "HEAD")).status).toBe(404);
      connection.write(get("/"));
      expect((await readResponse(connection)).status).toBe(200);
      connection.destroy();
    });

    it("a failure is in the log under the id that the visitor got", async () => {
      const response = await request(port, get("/", ["Host: refused.test"]));
      const id = response.field("x-request-id")!;
      const [line] = await gateway.process.waitFor("stderr", new RegExp(`.*"${id}".*`));
      expect(JSON.parse(line)).toMatchObject({
        requestId: id,
        service: "refused",
        failure: "connection_refused",
      });
    });

    it("a body that breaks off never looks whole", async () => {
      const endings: [string, string, (connection: RawConnection) => void][] = [
        ["length-end", "Content-Length: 100", (connection) => connection.end()],
        ["length-reset", "Content-Length: 100", reset],
        ["chunked-end", "Transfer-Encoding: chunked", (connection) => connection.end()],
        ["chunked-reset", "Transfer-Encoding: chunked", reset],
        ["chunked-garbage", "Transfer-Encoding: chunked", (connection) => connection.write("zz\r\n\r\n")],
        ["close-reset", "Connection: close", reset],
      ];
      for (const [name, framing, finish] of endings) {
        let release: (() => void) | undefined;
        target.on(`/${name}`, async (connection) => {
          connection.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`);
          connection.write(framing.endsWith("chunked") ? chunk("part") : "part");
          await new Promise<void>((resolve) => release = resolve);
          finish(connection);
          await connection.rest();
        });
        const visitor = await RawConnection.open(port);
        visitor.write(get(`/${name}`));
        const head = await readHead(visitor);
        expect([name, head.line]).toEqual([name, "HTTP/1.1 200 OK"]);
        // The visitor has the first part before the target fails.
        const body = readBody(visitor, head, { untilEnd: true });
        await eventually(() => release, (value) => value !== undefined);
        release?.();
        expect([name, (await body).complete]).toEqual([name, false]);
        visitor.destroy();
      }
    });

    test.skipIf(curl === undefined)(
      "curl calls a body that breaks off an error, over HTTP/1.0 too",
      async () => {
        const framings = ["Content-Length: 100", "Transfer-Encoding: chunked", "Connection: close"];
        let ran = 0;
        for (const framing of framings) {
          for (const version of ["--http1.1", "--http1.0"]) {
            const path = `/curl-${ran++}`;
            target.on(path, (connection) => {
              connection.write(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n`);
              connection.write(framing.endsWith("chunked") ? chunk("part") : "part");
              // The reset would overtake bytes that were not read.
              setTimeout(() => reset(connection), 100);
              return new Promise<void>(() => {});
            });
            const url = `http://127.0.0.1:${port}${path}`;
            const child = processes.start([curl!, "-sS", "-m", "15", version, "-H", "Host: web.test", url]);
            const { code } = await child.exit;
            // 18: fewer bytes than declared; 56: receive error; 52: nothing came.
            expect([framing, version, [18, 52, 56].includes(code ?? 0), code]).toEqual([
              framing,
              version,
              true,
              code,
            ]);
          }
        }
        expect(ran).toBe(6);
      },
      TEST_MS_MAX,
    );

    it("a visitor who leaves an event stream ends it at the target", async () => {
      let ended: Promise<unknown> | undefined;
      target.on("/leave", async (connection) => {
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write(chunk("data: 1\n\n"));
        await (ended = connection.rest());
      });
      const visitor = await RawConnection.open(port);
      visitor.write(get("/leave"));
      await visitor.until("data: 1\n\n");
      visitor.destroy();
      await ended;
      expect(ended).toBeDefined();
    });

    it("a visitor who leaves in an upload ends it at the target, unfinished", async () => {
      for (const framing of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
        const path = `/half-upload-${framing.length}`;
        const got = new Promise<boolean>((resolve) =>
          target.on(path, async (connection, seen) => resolve((await readBody(connection, seen)).complete))
        );
        const visitor = await RawConnection.open(port);
        visitor.write(get(path, [framing], "POST"));
        visitor.write(framing.endsWith("chunked") ? chunk("part") : "part");
        await target.request(path);
        visitor.destroy();
        expect([framing, await got]).toEqual([framing, false]);
      }
    });

    it("a visitor whose head is slow is sent away", async () => {
      const before = target.seen.length;
      const visitor = await RawConnection.open(port);
      visitor.write("GET / HTTP/1.1\r\nHost: web.test\r\nX-Slow: ");
      const answered = (await visitor.rest()).toString();
      expect(answered === "" || answered.startsWith("HTTP/1.1 408 ")).toBe(true);
      expect(target.seen.length).toBe(before);
      visitor.destroy();
    });
  });

  describe(`agents that die, gateway on ${gatewayRuntime}, agents on ${agentRuntime}`, () => {
    const ends: { target: RawTarget; agent: RunningProcess }[] = [];
    let gateway: RunningGateway;
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    const addAgent = async (): Promise<void> => {
      const target = await RawTarget.start();
      target.on("/hang", async (connection) => void await connection.rest());
      target.on("/body", async (connection) => {
        connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.write(chunk("part"));
        await connection.rest();
      });
      const agent = await startAgent(processes, agentRuntime, gateway, {
        args: ["--serve", `web=${target.url}`],
      });
      ends.push({ target, agent });
    };
    /** Kills the agent that serves a request for this path, and gives the other ends. */
    const killServing = async (path: string): Promise<void> => {
      const isServing = ({ target }: typeof ends[number]): boolean =>
        target.seen.some((seen) => seen.target === path);
      const serving = await eventually(() => ends.findIndex(isServing), (index) => index >= 0);
      // From now on the others answer.
      for (const { target } of ends) {
        target.on("/hang", (connection) => connection.write(answer(200, "second")));
      }
      ends[serving]!.agent.kill();
      ends.splice(serving, 1)[0]!.target.close();
    };

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime);
      await addAgent();
    });
    afterAll(() => {
      for (const { target } of ends) target.close();
    });

    it("with one agent the visitor gets 502", async () => {
      const response = request(gateway.port, get("/hang?one"));
      await killServing("/hang?one");
      expectProblem(await response, 502, "connection_terminated");
      expectProblem(await request(gateway.port, get("/")), 503, "destination_unavailable");
    });

    it("with two agents a GET goes to the other", async () => {
      await addAgent();
      await addAgent();
      expect(linkCount(gateway)).toBe(3);
      const response = request(gateway.port, get("/hang?two"));
      await killServing("/hang?two");
      const { status, ...rest } = await response;
      expect([status, rest.text()]).toEqual([200, "second"]);
    });

    it("a POST is not sent twice", async () => {
      await addAgent();
      for (const { target } of ends) target.on("/post", async (connection) => void await connection.rest());
      const response = request(gateway.port, get("/post", ["Content-Length: 2"], "POST"), "hi");
      await killServing("/post");
      expectProblem(await response, 502, "connection_terminated");
      expect(ends.map(({ target }) => target.count("/post"))).toEqual(ends.map(() => 0));
    });

    it("an answer that has begun is cut off", async () => {
      const visitor = await RawConnection.open(gateway.port);
      visitor.write(get("/body"));
      const head = await readHead(visitor);
      await visitor.until("part");
      await killServing("/body");
      const { complete } = await readBody(visitor, head, { untilEnd: true });
      expect(complete).toBe(false);
      visitor.destroy();
    });
  });
}
