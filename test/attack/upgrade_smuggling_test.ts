/**
 * Upgrades as a tunnel past the rules: what follows one is a request that nobody has looked at.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { AttackRig } from "../support/attack_rig.ts";
import { echo, fieldOf, RecordingTarget } from "../support/raw_http.ts";

const rig = new AttackRig();
const secret = new RecordingTarget();
beforeAll(async () => {
  await secret.listen();
  await rig.start({ gateway: { route: ["*=web", "admin.example=secret"] } });
  await rig.wall.link({ serve: [`secret=http://127.0.0.1:${secret.port}`] });
});
afterAll(async () => {
  await rig.close();
  secret.close();
});

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: admin.example\r\n\r\n";

function upgrade(protocol: string, more = "", path = "/u"): string {
  return `GET ${path} HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n${more}\r\n`;
}

describe("an upgrade that the target does not take", () => {
  const cases: [string, string][] = [
    ["with a request behind it", upgrade("websocket", "Sec-WebSocket-Version: 777\r\n") + SMUGGLED],
    ["of an unknown protocol", upgrade("foo") + SMUGGLED],
    ["to h2c", upgrade("h2c", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n") + SMUGGLED],
    ["to h2c behind another", upgrade("foo, h2c", "HTTP2-Settings: AAMAAABkAAQAAP__\r\n") + SMUGGLED],
    ["to HTTP/2.0", upgrade("HTTP/2.0") + SMUGGLED],
    ["that Connection names twice", upgrade("foo", "Connection: upgrade, Upgrade\r\n") + SMUGGLED],
    ["in two fields", upgrade("foo", "Upgrade: bar\r\n") + SMUGGLED],
  ];
  for (const [name, text] of cases) {
    test(`${name}: the rest is dropped with the connection`, async () => {
      const before = rig.target.requests.length;
      const answer = await rig.visit(text).untilClosed();
      expect(answer.match(/^HTTP\/1.1/gm)).toHaveLength(1);
      expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
      expect(rig.target.requests).toHaveLength(before + 1);
      expect(rig.target.requests.at(-1)!.raw).not.toMatch(/h2c|http2|HTTP\/2/i);
      await rig.checkNextVisitors();
      expect([...rig.target.targets, ...secret.targets].includes("/smuggled")).toBe(false);
    });
  }

  test("there were as many as thought of", () => expect(cases).toHaveLength(7));
});

describe("an upgrade with a body", () => {
  const cases = [
    `POST /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\nContent-Length: 5\r\n\r\nhello${SMUGGLED}`,
    `POST /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: foo\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  ];
  test("is refused and reaches nobody", async () => {
    for (const text of cases) {
      const before = rig.target.requests.length;
      expect(await rig.visit(text).untilClosed()).toMatch(/^HTTP\/1.1 501 /);
      expect(rig.target.requests).toHaveLength(before);
    }
    expect(cases).toHaveLength(2);
    await rig.checkNextVisitors();
  });
});

describe("an upgrade that the target takes", () => {
  test("what follows goes to that target alone, raw, and its connection is never used again", async () => {
    rig.target.onRequest = (request, socket) => {
      if (request.target !== "/u") return echo(request, socket);
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n");
    };
    const visitor = rig.visit(upgrade("foo"));
    await visitor.untilText("101 ");
    const { connection } = rig.target.requests.at(-1)!;
    visitor.send("raw bytes");
    await rig.target.until(() => rig.target.unread[connection] === "raw bytes", () => "the raw bytes");
    await rig.checkNextVisitors();
    visitor.close();
    await rig.checkNextVisitors();
    rig.target.onRequest = echo;
    const others = rig.target.requests.filter((request) => request.connection === connection);
    expect(others.at(-1)?.target).toBe("/u");
    expect(secret.targets).toEqual([]);
  });

  test("a target that switches unasked is 502, and what it sent is dropped", async () => {
    rig.target.onRequest = (_request, socket) => {
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\n\r\nHTTP/1.1 200 OK\r\n\r\nevil");
    };
    for (const text of ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", upgrade("h2c")]) {
      const answer = await rig.attack(text);
      expect(answer).toMatch(/^HTTP\/1.1 502 /);
      expect(answer).not.toContain("evil");
    }
    rig.target.onRequest = echo;
    await rig.checkNextVisitors();
  });

  test("a pipelined upgrade cannot write into the answer before it", async () => {
    rig.target.onRequest = (request, socket) => {
      if (request.target === "/slow") {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        setTimeout(() => socket.write("67890"), 150);
      } else if (fieldOf(request.raw, "Upgrade") !== undefined) {
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nSPLICED",
        );
      } else echo(request, socket);
    };
    const visitor = rig.visit(`GET /slow HTTP/1.1\r\nHost: x\r\n\r\n${upgrade("foo")}`);
    await visitor.until(() => visitor.closed || visitor.text.includes("67890"), () => "an end");
    rig.target.onRequest = echo;
    expect(visitor.text).not.toContain("SPLICED");
    visitor.close();
    await rig.checkNextVisitors();
  });

  test("an upgrade of another service's host goes to that service", async () => {
    const visitor = rig.visit(upgrade("foo", "", "/own").replace("app.example", "admin.example"));
    await visitor.untilClosed();
    expect(secret.targets).toEqual(["/own"]);
  });
});
