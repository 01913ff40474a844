/**
 * Tests of the client of the admin API: what it sends, what it makes of bad answers, and that nothing is unbounded.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { AdminClient, type AdminClientOptions, type AdminPlace } from "../../lib/admin/client.ts";
import { AdminClientError } from "../../lib/admin/client_error.ts";
import { adminTokenOf } from "../../lib/admin/client_token.ts";
import {
  EventStreamError,
  EventStreamParser,
  SERVER_EVENT_CHARS_MAX,
  type ServerEvent,
} from "../../lib/admin/event_source.ts";
import { parseAdminAddress } from "../../lib/config/admin_address.ts";
import {
  ADMIN_TOKEN,
  type FakeAdmin,
  type FakeAnswer,
  problem,
  startFakeAdmin,
} from "../support/fake_admin.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function fake(unix = false): Promise<FakeAdmin> {
  const admin = await startFakeAdmin(unix);
  closers.push(() => admin.close());
  return admin;
}

function clientAt(address: string, options: Partial<AdminClientOptions> = {}): AdminClient {
  return new AdminClient({ place: parseAdminAddress(address), token: ADMIN_TOKEN, ...options });
}

/** The error of a call; fails when there is none. */
async function errorOf(call: Promise<unknown>): Promise<AdminClientError> {
  const error = await call.then(() => undefined, (error: unknown) => error);
  if (!(error instanceof AdminClientError)) throw new Error(`no AdminClientError but ${String(error)}`);
  expect(error.message).not.toContain(ADMIN_TOKEN);
  // deno-lint-ignore no-control-regex
  expect(error.message.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  return error;
}

test("the request carries the token, the query and the body, on a port and on a unix socket", async () => {
  for (const unix of [false, true]) {
    const admin = await fake(unix);
    admin.answers.set("PUT policy", { body: { version: 3 } });
    const answer = await clientAt(admin.address).json({
      method: "PUT",
      path: "policy",
      query: { comment: "a b&c=ü", left: undefined, n: 3 },
      body: "kind: Policy # ü\n",
      contentType: "application/yaml",
      headers: { "If-Match": '"2"' },
    }, z.object({ version: z.int() }));
    expect(answer).toEqual({ version: 3 });
    expect(admin.asked).toHaveLength(1);
    expect(admin.asked[0]).toMatchObject({
      method: "PUT",
      url: "/api/v1/policy?comment=a%20b%26c%3D%C3%BC&n=3",
      body: "kind: Policy # ü\n",
    });
    expect(admin.asked[0]!.headers).toMatchObject({
      authorization: `Bearer ${ADMIN_TOKEN}`,
      "content-type": "application/yaml",
      "content-length": "18",
      "if-match": '"2"',
    });
  }
});

test("a path of the address stands before the API's own", async () => {
  const admin = await fake();
  admin.answers.set("GET groups", { body: "{}" });
  const client = clientAt(`http://${admin.address}/net/wall/`);
  expect(await client.text({ method: "GET", path: "groups" })).toBe("{}");
  expect(admin.asked[0]!.url).toBe("/net/wall/api/v1/groups");
  expect(client.at).toBe(`${admin.address}/net/wall`);
});

test("a bad answer is told by what it is, with every fault and nothing that acts on a terminal", async () => {
  const admin = await fake();
  const evil = "\u001b[2J\u009b31m\u202e";
  const faults = [
    { line: 12, path: "spec.rules.3.effect", message: `no effect${evil}` },
    { path: ["spec", "rules", 0], message: "no" },
    { message: "all of it" },
  ];
  const cases: [FakeAnswer, AdminClientError["code"], RegExp][] = [
    [problem(403, "Needs the role operator"), "refused", /said no \(403\): Needs the role operator$/],
    [problem(404, "There is no version 9"), "failed", /said no \(404\): There is no version 9$/],
    [problem(409, "Version 4 is in force"), "failed", /\(409\): Version 4 is in force$/],
    [problem(413, "Too large"), "invalid", /Too large$/],
    [problem(503, `The store${evil}`), "failed", /The store\\u001b\[2J\\u009b31m\\u202e$/],
    [
      problem(422, "The policy has faults", faults),
      "invalid",
      /^Nothing was changed: The policy has faults\npolicy\.yaml:12: spec\.rules\.3\.effect: no effect\\u001b.*\npolicy\.yaml: spec\.rules\.0: no\npolicy\.yaml: all of it$/,
    ],
    [
      problem(400, "Many", Array.from({ length: 500 }, (_, line) => ({ line, path: "x", message: "no" }))),
      "invalid",
      /\n400 more faults: correct these first$/,
    ],
    [problem(400, "x".repeat(100_000)), "invalid", /x{600}…$/],
    [
      { status: 404, type: "text/html", body: "<h1>nginx</h1>" },
      "failed",
      /status 404, check that --admin names/,
    ],
    [{ status: 302, type: "text/plain", body: "" }, "failed", /status 302, check/],
    [{ status: 500, type: "application/json", body: "{" }, "failed", /status 500, check/],
    [{ status: 500, type: "application/json", body: { detail: 7 } }, "failed", /status 500, check/],
    [{ body: { items: 7 } }, "failed", /items is not as expected, check that --admin/],
    [{ body: "no json" }, "failed", /it is not as expected/],
  ];
  const request = { method: "PUT", path: "policy", body: "x", bodyName: "policy.yaml" } as const;
  for (const [answer, code, message] of cases) {
    admin.answers.set("PUT policy", answer);
    const error = await errorOf(
      clientAt(admin.address).json(request, z.object({ items: z.array(z.string()) })),
    );
    expect([error.code, error.message]).toEqual([code, expect_(error.message, message)]);
  }
  expect(admin.asked).toHaveLength(14);
});

/** The message when it matches, else the pattern: shows both when they differ. */
function expect_(message: string, pattern: RegExp): string {
  return pattern.test(message) ? message : String(pattern);
}

test("a token that is not taken says where another comes from", async () => {
  const admin = await fake();
  const error = await errorOf(clientAt(admin.address, { token: "other" }).text({ method: "GET", path: "x" }));
  expect(error.code).toBe("refused");
  expect(error.message).toMatch(
    /does not take this admin token: .*--admin-token-file FILE.*NETWALL_ADMIN_TOKEN.*--data/,
  );
  expect(error.message).not.toContain("other:");
});

/** A server of raw bytes. */
async function rawServer(answer: string | undefined, end: boolean): Promise<string> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", () => {
      if (answer !== undefined) socket.write(answer);
      if (end) socket.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("nobody there, nobody who answers, and an answer that is cut: each names the address and what to do", async () => {
  const gone = await startFakeAdmin();
  await gone.close();
  const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
  const cases: [string, RegExp][] = [
    [
      gone.address,
      /^Cannot reach the gateway at 127\.0\.0\.1:\d+: nothing listens there, start /,
    ],
    ["unix:/nowhere/at/all", /at unix:\/nowhere\/at\/all: there is no such socket, start /],
    [
      await rawServer(undefined, false),
      /does not answer in time: see its log, or name another with --admin$/,
    ],
    [await rawServer(`${head}Content-Length: 10\r\n\r\n{`, false), /does not answer in time/],
    [await rawServer(undefined, true), /^Cannot reach the gateway at /],
    [await rawServer(`${head}Content-Length: 10\r\n\r\n{`, true), /^Cannot reach the gateway at /],
    [
      await rawServer(`${head}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`, true),
      /^Cannot reach the gateway at /,
    ],
    [await rawServer("SSH-2.0-OpenSSH_9.2\r\n\r\n", true), /^Cannot reach the gateway at /],
  ];
  for (const [address, message] of cases) {
    const error = await errorOf(
      clientAt(address, { timeoutMs: 500 }).text({ method: "GET", path: "groups" }),
    );
    expect([error.code, error.message]).toEqual(["away", expect_(error.message, message)]);
  }
  expect(cases).toHaveLength(8);
});

test("an answer over the bound is given up, however it is sent", async () => {
  const admin = await fake();
  admin.answers.set("GET policy.yaml", (_, outgoing) => {
    outgoing.writeHead(200, { "Content-Type": "application/yaml" });
    const write = (): void => {
      while (!outgoing.destroyed && outgoing.write("x".repeat(65_536)));
      if (!outgoing.destroyed) outgoing.once("drain", write);
    };
    write();
  });
  const error = await errorOf(
    clientAt(admin.address, { answerBytesMax: 200_000 }).text({ method: "GET", path: "policy.yaml" }),
  );
  expect([error.code, error.message]).toEqual([
    "failed",
    "The answer is too large: over 200000 bytes, ask for less",
  ]);
});

test("the admin token comes from the file, then the environment, then the gateway's directory", () => {
  const dir = mkdtempSync(join(tmpdir(), "netwall-client-"));
  closers.push(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "mine");
  writeFileSync(file, "from-file\n");
  writeFileSync(join(dir, "admin-token"), "from-directory\n");
  const given = { file, environment: " from-environment ", dataDir: dir };
  expect(adminTokenOf(given)).toBe("from-file");
  expect(adminTokenOf({ ...given, file: undefined })).toBe("from-environment");
  expect(adminTokenOf({ ...given, file: undefined, environment: " " })).toBe("from-directory");
  expect(adminTokenOf({ ...given, file: undefined, environment: undefined })).toBe("from-directory");

  const large = join(dir, "large");
  writeFileSync(large, "x".repeat(5000));
  const lines = join(dir, "lines");
  writeFileSync(lines, "secret-one\nsecret-two\n");
  const cases: [Parameters<typeof adminTokenOf>[0], RegExp][] = [
    [{ ...given, file: join(dir, "none") }, /none: there is no such file or directory, name .*--data DIR/],
    [{ ...given, file: dir }, /it is a directory/],
    [{ ...given, file: large }, /over 4096 bytes/],
    [{ ...given, file: lines }, /not one line of visible ASCII/],
    [
      { ...given, file: undefined, environment: "a\r\nX-Evil: 1" },
      /admin token of NETWALL_ADMIN_TOKEN: not one line/,
    ],
    [
      { file: undefined, environment: undefined, dataDir: join(dir, "nowhere") },
      /nowhere\/admin-token: there is no/,
    ],
  ];
  for (const [source, message] of cases) {
    let error: unknown;
    try {
      adminTokenOf(source);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(AdminClientError);
    expect((error as AdminClientError).code).toBe("invalid");
    expect((error as AdminClientError).message).toMatch(message);
    expect((error as AdminClientError).message).not.toMatch(/secret-|Evil/);
  }
  expect(cases).toHaveLength(6);
});

test("the address of an admin API is read in each of its forms, and in no other", () => {
  const good: [string, AdminPlace][] = [
    ["127.0.0.1:9090", { kind: "http", secure: false, host: "127.0.0.1", port: 9090, path: "" }],
    ["0.0.0.0:9090", { kind: "http", secure: false, host: "127.0.0.1", port: 9090, path: "" }],
    [":9090", { kind: "http", secure: false, host: "127.0.0.1", port: 9090, path: "" }],
    ["[::]:9090", { kind: "http", secure: false, host: "::1", port: 9090, path: "" }],
    ["[fd00::7]:1", { kind: "http", secure: false, host: "fd00::7", port: 1, path: "" }],
    ["gateway:9090", { kind: "http", secure: false, host: "gateway", port: 9090, path: "" }],
    ["unix:/run/a.sock", { kind: "unix", path: "/run/a.sock" }],
    ["https://Ops.Example.com/net/", {
      kind: "http",
      secure: true,
      host: "ops.example.com",
      port: 443,
      path: "/net",
    }],
    ["http://[::1]", { kind: "http", secure: false, host: "::1", port: 80, path: "" }],
  ];
  for (const [text, place] of good) expect(parseAdminAddress(text)).toEqual(place);
  const bad = [
    "",
    "off",
    "9090",
    "127.0.0.1",
    "127.0.0.1:0",
    "127.0.0.1:70000",
    "::1:9090",
    "unix:",
    "unix://x",
    "ws://a",
    "ftp://a/",
    "http://",
    "http://a:0/",
    "http://u:p@a/",
    "http://a/?token=x",
    "http://a/#x",
    "http://a b/",
    "http://a\\b/",
    `http://${"a".repeat(3000)}/`,
  ];
  for (const text of bad) expect(() => parseAdminAddress(text)).toThrow();
  expect(() => parseAdminAddress("http://u:hunter2@a/")).toThrow(/^(?!.*hunter2)/);
  expect([good.length, bad.length]).toEqual([9, 19]);
});

function parseAll(bytes: Uint8Array, cuts: readonly number[]): ServerEvent[] {
  const parser = new EventStreamParser();
  const events: ServerEvent[] = [];
  let from = 0;
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    const to = Math.min(cut, bytes.length);
    events.push(...parser.push(bytes.subarray(from, to)));
    from = to;
  }
  return [...events, ...parser.push(bytes.subarray(from))];
}

test("a stream of events is read the same however it is cut", () => {
  const text = '\uFEFFretry: 2000\n\nevent: event\nid: 7\ndata: {"a":\ndata: "ü€😀"}\n\n: ping\n\n:\r\r\n' +
    "event:edge\r\ndata:x\r\rid: 9\r\nid: 1\0\r\ndata\r\n\r\nid: 10\n\ndata: cut off\n";
  const expected = [
    { name: "event", data: '{"a":\n"ü€😀"}', id: "7" },
    { name: "edge", data: "x", id: "7" },
    { name: "message", data: "", id: "9" },
  ];
  const bytes = new TextEncoder().encode(text);
  expect(parseAll(bytes, [])).toEqual(expected);
  expect(parseAll(bytes, bytes.map((_, index) => index) as unknown as number[])).toEqual(expected);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
      expect(parseAll(bytes, cuts)).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test("an event of a stream is bounded: as one line, as many, and without any end", () => {
  const chunk = new TextEncoder().encode("x".repeat(65_536));
  const line = new TextEncoder().encode(`data: ${"x".repeat(60_000)}\n`);
  const floods: [string, Uint8Array, Uint8Array][] = [
    ["one line", new TextEncoder().encode("data: "), chunk],
    ["many lines", line, line],
    ["names", line, new TextEncoder().encode("event: e\n".repeat(5000))],
  ];
  for (const [name, first, more] of floods) {
    const parser = new EventStreamParser();
    parser.push(first);
    let pushed = 0;
    const flood = (): void => {
      for (; pushed < 3 * SERVER_EVENT_CHARS_MAX; pushed += more.length) parser.push(more);
    };
    expect(flood).toThrow(EventStreamError);
    expect([name, pushed < 2 * SERVER_EVENT_CHARS_MAX]).toEqual([name, true]);
  }
  // What only keeps it alive counts for nothing.
  const parser = new EventStreamParser();
  const ping = new TextEncoder().encode(": ping\n".repeat(10_000));
  for (let i = 0; i < 40; i += 1) expect(parser.push(ping)).toEqual([]);
});
