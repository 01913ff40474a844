/**
 * The doctor against everything that can be wrong, made on purpose: each case breaks one thing, and one line has to
 * say which, and what to do.
 *
 * @module
 */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import type { CheckResult } from "../../lib/agent/check.ts";
import {
  doctorJson,
  type DoctorOptions,
  type DoctorPlan,
  type DoctorReport,
  doctorText,
  runDoctor,
} from "../../lib/agent/doctor.ts";
import type { WallFact } from "../../lib/agent/doctor_place.ts";
import type { GatewayAddress } from "../../lib/link/dial.ts";
import { LinkAcceptor, type LinkAuthentication } from "../../lib/link/acceptor.ts";
import type { SealOutcome } from "../../lib/seal/seal_options.ts";
import { FrameDecoder } from "../../lib/wire/codec.ts";
import { FrameType, writeHeader } from "../../lib/wire/frame.ts";
import { encodeHello } from "../../lib/wire/hello.ts";
import { TestAuthority, type TestPair } from "../support/certificates.ts";
import { eventually } from "../e2e/wall.ts";
import { denoBinary, freePort, useProcesses } from "../support/processes.ts";

const authority = new TestAuthority();
const folder = mkdtempSync(join(tmpdir(), "netwall-doctor-"));
const processes = useProcesses();
afterAll(() => {
  authority.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** For what is to answer: no test waits for it, as a check ends when it has its answer. */
const PATIENT_MS = 10_000;
/** For what never answers. */
const HASTY_MS = 400;

const NOW_MS = Date.now();
const WHOLE: WallFact = { state: "whole", listeners: [], faults: [] };

/** A token of no gateway: the doctor has no key to see that. */
function tokenWith(claims: Record<string, unknown> = {}): string {
  const seconds = Math.floor(NOW_MS / 1000);
  const payload = {
    ...{ jti: "12345678", sub: "web-1", serve: ["web"], reach: ["db"], egress: true, ns: "default", img: "" },
    ...{ iat: seconds - 60, exp: seconds + 90 * 86_400, ...claims },
  };
  const part = (value: unknown): string =>
    btoa(JSON.stringify(value)).replaceAll("+", "-").replaceAll("/", "_");
  return [part({ alg: "EdDSA", typ: "JWT" }), part(payload), "c2lnbmF0dXJlLW9mLW5vYm9keQ"].join(".")
    .replaceAll("=", "");
}

interface Setup extends Partial<DoctorPlan> {
  readonly options?: Partial<DoctorOptions>;
}

function examine({ options, ...plan }: Setup): Promise<DoctorReport> {
  return runDoctor({
    plan: {
      ...{ gateways: [], services: [], reach: [], token: { value: tokenWith() }, tls: { value: {} } },
      ...{
        targetCa: { value: "" },
        targetInsecure: false,
        seal: "off",
        requireWall: false,
        auditWall: true,
        ...plan,
      },
    },
    env: {},
    sealStatus: () => ({ kind: "sealed", detail: "the kernel can" }),
    audit: () => WHOLE,
    timeoutMs: PATIENT_MS,
    nowMs: NOW_MS,
    ...options,
  });
}

/** The one check whose name matches. */
function only(report: DoctorReport, name: RegExp): CheckResult {
  const found = report.checks.filter((check) => name.test(check.name));
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** Nothing else may have failed: a doctor that blames the wrong part is worse than none. */
function expectOnlyFault(report: DoctorReport, name: RegExp, detail: RegExp, cure: RegExp): void {
  const check = only(report, name);
  expect(check.status).toBe("fail");
  expect(check.detail).toMatch(detail);
  expect(check.cure).toMatch(cure);
  expect(report.ok).toBe(false);
  expect(report.checks.filter(({ status }) => status === "fail").map((it) => it.name)).toEqual([check.name]);
}

async function listening(server: Server, at?: string): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await new Promise<void>((resolve) => {
    if (at === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(at, resolve);
  });
  return at === undefined ? (server.address() as AddressInfo).port : 0;
}

/** A server that does with each connection what it is told. */
function scripted(behave: (socket: Socket) => void = () => {}, at?: string): Promise<number> {
  return listening(createServer(behave), at);
}

/** A port nobody listens on, and nobody can: a client holds it. */
async function closedPort(): Promise<number> {
  const holder = await scripted();
  const client = connect(holder, "127.0.0.1").on("error", () => {});
  cleanups.push(() => client.destroy());
  await new Promise((resolve) => client.once("connect", resolve));
  return client.localPort ?? 0;
}

function tcpGateway(port: number, more: { host?: string; secure?: boolean } = {}): GatewayAddress {
  return { kind: "tcp", secure: false, host: "127.0.0.1", port, path: "/.netwall/link", ...more };
}

function helloFrame(versionMin = 1, versionMax = 1): Uint8Array {
  const windows = { streamWindowBytes: 1, sessionWindowBytes: 1, streamsMax: 0 };
  const payload = encodeHello({ versionMin, versionMax, ...windows, fields: ["version", "9.9.9"] });
  const frame = new Uint8Array(9 + payload.length);
  writeHeader(frame, 0, payload.length, FrameType.hello, 0, 0);
  frame.set(payload, 9);
  return frame;
}

interface FakeGateway {
  readonly port: number;
  /** Types of the frames that the agent's side sent. */
  readonly frames: number[];
  /** How each link ended. */
  readonly ends: string[];
}

/** A gateway that answers tokens as it is told and then says its HELLO, or something else. */
async function fakeGateway(
  answer: LinkAuthentication<string> = { ok: true, identity: "agent" },
  first: Uint8Array = helloFrame(),
  pair?: TestPair,
): Promise<FakeGateway> {
  const frames: number[] = [];
  const ends: string[] = [];
  const acceptor = new LinkAcceptor<string>({
    authenticate: () => Promise.resolve(answer),
    onLink: (link) => {
      const decoder = new FrameDecoder((type) => frames.push(type));
      link.start({
        onMessage: (chunk) => decoder.push(chunk),
        onDrain: () => {},
        onClose: ({ clean, message }) => ends.push(`${clean} ${message}`),
      });
      if (first.length > 0) link.send(first);
    },
  });
  const http = createHttpServer();
  http.on("upgrade", (request, socket, head) => acceptor.handleUpgrade(request, socket, head));
  const inner = await listening(http);
  if (pair === undefined) return { port: inner, frames, ends };
  const outer = createTlsServer({ cert: pair.cert, key: pair.key }, (socket) => {
    const near = connect(inner, "127.0.0.1");
    for (const each of [socket, near]) {
      each.on("error", () => {}).on("close", () => [socket, near].map((it) => it.destroy()));
    }
    socket.pipe(near).pipe(socket);
  });
  outer.on("tlsClientError", () => {});
  return { port: await listening(outer), frames, ends };
}

describe("the way to a gateway", () => {
  test("is fine: a true link, which takes no traffic and says goodbye", async () => {
    const gateway = await fakeGateway();
    const report = await examine({ gateways: [tcpGateway(gateway.port)] });
    expect(report.ok).toBe(true);
    expect(report.checks.filter(({ status }) => status !== "ok")).toEqual([]);
    const { detail, ms } = only(report, /^gateway ws:\/\/127\.0\.0\.1:/);
    expect(detail).toMatch(/^linked in \d+ ms, gateway version 9\.9\.9$/);
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(gateway.frames).toEqual([]);
    await eventually(() => gateway.ends, (ends) => ends.length > 0);
    expect(gateway.ends).toEqual(["true Closed by the other side: This was netwall-agent doctor"]);
  });

  test("a name that does not resolve", async () => {
    const report = await examine({ gateways: [tcpGateway(7443, { host: "no-such-gateway.invalid" })] });
    expectOnlyFault(
      report,
      /^name no-such-gateway\.invalid$/,
      /no such name|name servers do not answer/,
      /name servers/,
    );
    expect(report.checks.some(({ name }) => /^(connect|gateway)/.test(name))).toBe(false);
  });

  test("a name that resolves is shown with its addresses", async () => {
    const gateway = await fakeGateway();
    const report = await examine({ gateways: [tcpGateway(gateway.port, { host: "localhost" })] });
    expect(only(report, /^name localhost$/).detail).toMatch(/127\.0\.0\.1/);
  });

  test("nothing listens", async () => {
    const port = await closedPort();
    const report = await examine({ gateways: [tcpGateway(port)] });
    expectOnlyFault(
      report,
      new RegExp(`^connect 127\\.0\\.0\\.1:${port}$`),
      /nothing listens.*ECONNREFUSED/,
      /Start the gateway/,
    );
  });

  test("a black hole: packets get no answer at all", async () => {
    // A listener that never accepts, with its backlog full: the kernel drops what comes then. On Deno, as the backlog
    // of Bun is always 512.
    const script = `import net from "node:net"; import fs from "node:fs";
      net.createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
        fs.writeSync(1, "ready " + JSON.stringify({ port: String(this.address().port) }) + "\\n");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60000);
      });`;
    const hole = processes.start([denoBinary(), "eval", script]);
    cleanups.push(() => hole.kill());
    const port = Number((await hole.ready)["port"]);
    const fillers = Array.from({ length: 6 }, () => connect(port, "127.0.0.1").on("error", () => {}));
    cleanups.push(() => fillers.forEach((socket) => socket.destroy()));
    // Two of them fit; the others keep asking.
    await Promise.any(fillers.map((it) => new Promise((resolve) => it.once("connect", resolve))));
    const report = await examine({ gateways: [tcpGateway(port)], options: { timeoutMs: 1_000 } });
    expectOnlyFault(
      report,
      /^connect /,
      /no answer within 1000 ms/,
      /Allow TCP to 127\.0\.0\.1:\d+ in firewalls/,
    );
  });

  test("something that accepts and never answers", async () => {
    const port = await scripted();
    const report = await examine({ gateways: [tcpGateway(port)], options: { timeoutMs: HASTY_MS } });
    expectOnlyFault(report, /^gateway ws:/, /does not answer within 400 ms/, /holds back WebSocket upgrades/);
  });

  test("a link that opens and stays silent, says something else, or another version", async () => {
    const cases: [Uint8Array, RegExp, RegExp][] = [
      [new Uint8Array(0), /does not answer within/, /netwall gateway listens/],
      [Uint8Array.of(0, 0, 0, FrameType.end, 0, 0, 0, 0, 1), /HELLO/, /same version/],
      [helloFrame(7, 9), /version/i, /same version/],
    ];
    let count = 0;
    for (const [first, detail, cure] of cases) {
      const gateway = await fakeGateway(undefined, first);
      const timeoutMs = first.length === 0 ? 1_000 : PATIENT_MS;
      const report = await examine({ gateways: [tcpGateway(gateway.port)], options: { timeoutMs } });
      expectOnlyFault(report, /^gateway /, detail, cure);
      count++;
    }
    expect(count).toBe(3);
  });

  test("another web server", async () => {
    const port = await listening(createHttpServer((_request, response) => response.writeHead(404).end()));
    const report = await examine({ gateways: [tcpGateway(port)] });
    expectOnlyFault(report, /^gateway /, /No netwall gateway answers.*404/, /host, port and path/);
  });

  const refusals: [code: string, detail: RegExp, cure: RegExp][] = [
    ["expired", /the token has expired \(401, expired\)/, /netwall-gateway token/],
    ["revoked", /the token was revoked/, /netwall-gateway token/],
    ["signature", /not of this gateway/, /correct --gateway/],
    ["malformed", /cannot read the token/, /as netwall-gateway token printed it/],
    ["not_allowed", /does not allow it/, /Mint one/],
  ];
  for (const [code, detail, cure] of refusals) {
    test(`a token that is refused: ${code}`, async () => {
      const token = tokenWith();
      // A hostile gateway repeats the secret, in the hope of a log that keeps it.
      const gateway = await fakeGateway({ ok: false, status: 401, code, message: `no: ${token}` });
      const report = await examine({ gateways: [tcpGateway(gateway.port)], token: { value: token } });
      expectOnlyFault(report, /^gateway /, detail, cure);
    });
  }

  test("no line shows the token, nor the part of it that a long message leaves", async () => {
    const token = tokenWith({ serve: ["web", ...Array.from({ length: 30 }, (_, i) => `service-${i}`)] });
    const gateway = await fakeGateway({ ok: false, status: 503, code: "busy", message: `no: ${token}` });
    const report = await examine({ gateways: [tcpGateway(gateway.port)], token: { value: token } });
    const all = doctorText(report) + doctorJson(report);
    expect(all).toContain("(token)");
    for (let at = 0; at + 16 <= token.length; at++) {
      expect(all.includes(token.slice(at, at + 16))).toBe(false);
    }
  });

  test("a unix socket that is missing, that is a file, and that works", async () => {
    const path = join(folder, "gateway.sock");
    const unix = (at: string): GatewayAddress => ({ kind: "unix", path: at, route: "/.netwall/link" });
    const missing = await examine({ gateways: [unix(path)] });
    expectOnlyFault(missing, /^connect unix:/, /no such socket file/, /mount the folder/);
    const file = join(folder, "plain");
    writeFileSync(file, "");
    const plain = await examine({ gateways: [unix(file)] });
    expectOnlyFault(plain, /^connect unix:/, /ECONNREFUSED|ENOTSOCK/, /./);
  });
});

describe("TLS to a gateway", () => {
  const cases: [name: string, pair: () => TestPair, ca: boolean, detail: RegExp, cure: RegExp][] = [
    [
      "another name",
      () => authority.leaf({ san: ["DNS:other.test"] }),
      true,
      /for other names: .*other\.test/,
      /localhost/,
    ],
    [
      "expired",
      () => authority.leaf({ san: ["DNS:localhost"], isExpired: true }),
      true,
      /ended on/,
      /Renew.*clock/,
    ],
    [
      "self-signed",
      () => authority.selfSigned("localhost"),
      true,
      /localhost is not trusted/,
      /file of --gateway-ca/,
    ],
    [
      "no CA given",
      () => authority.leaf({ san: ["DNS:localhost"] }),
      false,
      /test authority is not trusted/,
      /--gateway-ca FILE/,
    ],
  ];
  for (const [name, pair, withCa, detail, cure] of cases) {
    test(`a certificate that is wrong: ${name}`, async () => {
      const gateway = await fakeGateway(undefined, undefined, pair());
      const report = await examine({
        gateways: [tcpGateway(gateway.port, { host: "localhost", secure: true })],
        tls: { value: withCa ? { ca: authority.cert } : {} },
      });
      expectOnlyFault(report, /^tls localhost:/, detail, cure);
      expect(gateway.frames).toEqual([]);
    });
  }

  test("a good one, with who made it and how long it holds", async () => {
    const gateway = await fakeGateway(undefined, undefined, authority.leaf({ san: ["DNS:localhost"] }));
    const gateways = [tcpGateway(gateway.port, { host: "localhost", secure: true })];
    const tls = { value: { ca: authority.cert } };
    const report = await examine({ gateways, tls });
    expect(report.ok).toBe(true);
    expect(only(report, /^tls /).detail).toMatch(
      /^TLSv1\.3, certificate of test authority, (29|30) days left$/,
    );
    expect(only(report, /^gateway wss:/).detail).toMatch(/^linked/);
    const late = await examine({ gateways, tls, options: { nowMs: NOW_MS + 20 * 86_400_000 } });
    expect(only(late, /^tls /)).toMatchObject({ status: "warn", cure: "Renew the certificate" });
  });

  test("no TLS at all, and silence", async () => {
    const plain = await fakeGateway();
    const report = await examine({ gateways: [tcpGateway(plain.port, { host: "localhost", secure: true })] });
    expectOnlyFault(
      report,
      /^tls /,
      /does not speak TLS|ends the connection|handshake fails/,
      /ws:\/\/|TLS is served|versions/,
    );
    const port = await scripted();
    const silent = await examine({
      gateways: [tcpGateway(port, { host: "localhost", secure: true })],
      options: { timeoutMs: HASTY_MS },
    });
    expectOnlyFault(silent, /^tls /, /does not answer in TLS within 400 ms/, /TLS is served on this port/);
  });

  test("client certificates: fine, expired, another key, no certificate, unreadable", async () => {
    const good = authority.leaf();
    const expired = authority.leaf({ isExpired: true });
    const other = authority.leaf();
    const cases: [cert: string, key: string, RegExp, string][] = [
      [good.cert, good.key, /^(29|30) days left$/, "ok"],
      [expired.cert, expired.key, /ended on/, "fail"],
      [good.cert, other.key, /not that of the certificate/, "fail"],
      ["nothing", good.key, /cannot be read/, "fail"],
      [good.cert, "nothing", /key cannot be read/, "fail"],
    ];
    let count = 0;
    for (const [cert, key, detail, status] of cases) {
      const check = only(await examine({ tls: { value: { cert, key } } }), /^client certificate$/);
      expect(check.status).toBe(status as "ok");
      expect(check.detail).toMatch(detail);
      count++;
    }
    expect(count).toBe(5);
    const error = "/nowhere/ca.pem cannot be read (ENOENT)";
    expectOnlyFault(await examine({ tls: { error } }), /^certificates for gateways$/, /ENOENT/, /path/);
  });
});

describe("the proxy of the environment", () => {
  /** A proxy that leads every CONNECT to one port, or answers with a status. */
  function proxy(answer: number): Promise<number> {
    return scripted((socket) => {
      socket.once("data", () => {
        if (answer < 1000) return socket.end(`HTTP/1.1 ${answer} No\r\n\r\n`);
        const far = connect(answer, "127.0.0.1", () => {
          socket.write("HTTP/1.1 200 OK\r\n\r\n");
          socket.pipe(far).pipe(socket);
        });
        for (const each of [socket, far]) {
          each.on("error", () => {}).on("close", () => [socket, far].map((it) => it.destroy()));
        }
      });
    });
  }
  const far = tcpGateway(7443, { host: "gateway.test" });

  test("is used and shown, without its password", async () => {
    const gateway = await fakeGateway();
    const port = await proxy(gateway.port);
    const env = { HTTP_PROXY: `http://user:hunter2hunter2@127.0.0.1:${port}` };
    const report = await examine({ gateways: [far], options: { env } });
    expect(report.ok).toBe(true);
    expect(only(report, /^proxy /)).toMatchObject({
      name: `proxy 127.0.0.1:${port}`,
      detail: "connects to gateway.test:7443",
    });
    expect(report.checks.some(({ name }) => name === "name gateway.test")).toBe(false);
    expect(doctorText(report)).not.toContain("hunter2");
  });

  test("says no, wants a password, is away, or is no address", async () => {
    const cases: [Record<string, string>, RegExp, RegExp][] = [
      [
        { HTTP_PROXY: `http://127.0.0.1:${await proxy(403)}` },
        /status 403/,
        /Let the proxy connect to gateway\.test:7443/,
      ],
      [{ HTTP_PROXY: `http://127.0.0.1:${await proxy(407)}` }, /status 407/, /HTTPS_PROXY/],
      [{ HTTP_PROXY: `http://127.0.0.1:${await closedPort()}` }, /ECONNREFUSED/, /NO_PROXY/],
      [{ HTTP_PROXY: "socks5://127.0.0.1:1080" }, /socks5/, /proxy variables/],
    ];
    let count = 0;
    for (const [env, detail, cure] of cases) {
      expectOnlyFault(await examine({ gateways: [far], options: { env } }), /^proxy/, detail, cure);
      count++;
    }
    expect(count).toBe(4);
  });
});

describe("the token", () => {
  const plan = {
    reach: [{ service: "db", listen: "127.0.0.1:0" }],
    egress: "127.0.0.1:0",
    app: { service: "web", file: import.meta.filename ?? "" },
  };

  test("fits: who it is for, what it allows, how long", async () => {
    const report = await examine(plan);
    expect(report.ok).toBe(true);
    expect(only(report, /^token$/).detail).toBe("web-1, 89 days left");
    expect(only(report, /^token allows$/).detail).toBe("serve web, reach db, egress");
  });

  test("expired, ends soon, made in the future", async () => {
    const seconds = Math.floor(NOW_MS / 1000);
    const at = async (claims: Record<string, unknown>): Promise<DoctorReport> =>
      await examine({ token: { value: tokenWith(claims) } });
    expectOnlyFault(await at({ exp: seconds - 5 }), /^token$/, /web-1 expired on 20/, /token --name web-1$/);
    expect(only(await at({ exp: seconds + 3600 }), /^token$/)).toMatchObject({ status: "warn" });
    expect(only(await at({ exp: seconds + 3600 }), /^token$/).detail).toMatch(/less than a day left/);
    const clock = only(await at({ iat: seconds + 7200 }), /^clock$/);
    expect(clock.status).toBe("warn");
    expect(clock.detail).toMatch(/ (7199|7200) s after/);
  });

  test("lacks a service, a reach, egress: the cure is the command that mints the right one", async () => {
    const token = { value: tokenWith({ serve: ["other"], reach: [], egress: false }) };
    expectOnlyFault(
      await examine({ ...plan, token }),
      /^token allows$/,
      /^it lacks --serve web, --reach db, --egress$/,
      /netwall-gateway token --name web-1 --serve web --reach db --egress$/,
    );
    const any = { value: tokenWith({ serve: ["*"], reach: ["*"] }) };
    expect((await examine({ ...plan, token: any })).ok).toBe(true);
  });

  test("is none: empty, no JWT, claims of other shapes", async () => {
    const wrong = [
      "",
      "secret-but-no-token",
      "a.b.c",
      "x".repeat(9000),
      tokenWith({ serve: "web" }),
      tokenWith({ exp: 1e300 }),
      tokenWith({ exp: "soon" }),
      tokenWith({ sub: "$(reboot)" }),
    ];
    let count = 0;
    for (const value of wrong) {
      const report = await examine({ token: { value } });
      expectOnlyFault(report, /^token$/, /it is (empty|no token)/, /netwall-gateway token/);
      expect(doctorText(report)).not.toContain(value === "" ? "undefined" : value);
      count++;
    }
    expect(count).toBe(wrong.length);
  });

  test("its file: fine, readable for everyone, missing, a folder", async () => {
    const tokenFile = join(folder, "token");
    writeFileSync(tokenFile, tokenWith());
    chmodSync(tokenFile, 0o600);
    expect(only(await examine({ tokenFile }), /^token file/)).toMatchObject({
      status: "ok",
      detail: "mode 600",
    });
    chmodSync(tokenFile, 0o644);
    const open = only(await examine({ tokenFile }), /^token file/);
    expect(open).toMatchObject({ status: "warn", cure: `Run chmod 600 ${tokenFile}` });
    const gone = join(folder, "gone");
    const error = `${gone} cannot be read (ENOENT)`;
    expectOnlyFault(await examine({ tokenFile: gone, token: { error } }), /^token file/, /ENOENT/, /path/);
    expectOnlyFault(
      await examine({ tokenFile: folder, token: { error: "EISDIR" } }),
      /^token file/,
      /no file/,
      /file/,
    );
  });
});

describe("targets", () => {
  const serve = (target: string): Setup => ({ services: [{ service: "web", target }] });
  const name = /^service web at /;

  test("http answers, with whatever status", async () => {
    const port = await listening(createHttpServer((_request, response) => response.writeHead(404).end()));
    const check = only(await examine(serve(`http://127.0.0.1:${port}`)), name);
    expect(check).toMatchObject({ status: "ok", detail: "answers with status 404" });
    const broken = await listening(createHttpServer((_request, response) => response.writeHead(502).end()));
    expect(only(await examine(serve(`http://127.0.0.1:${broken}`)), name).status).toBe("warn");
  });

  test("refused, hanging, silent, and not HTTP", async () => {
    const cases: [port: number, RegExp, RegExp, number?][] = [
      [await closedPort(), /nothing listens/, /Start the service/],
      [await scripted(), /does not answer HEAD \/ within 400 ms/, /tcp:\/\//, HASTY_MS],
      [await scripted((socket) => socket.end()), /ends the connection/, /tcp:\/\//],
      [await scripted((socket) => socket.end("SSH-2.0-x\r\n")), /is not HTTP/, /tcp:\/\//],
      [await scripted((socket) => socket.write("x".repeat(100_000))), /is not HTTP/, /tcp:\/\//],
    ];
    let count = 0;
    for (const [port, detail, cure, timeoutMs = PATIENT_MS] of cases) {
      const report = await examine({ ...serve(`http://127.0.0.1:${port}`), options: { timeoutMs } });
      expectOnlyFault(report, name, detail, cure);
      count++;
    }
    expect(count).toBe(5);
  });

  test("tcp only has to accept; a target that cannot be read is said to be none", async () => {
    const port = await scripted();
    expect(only(await examine(serve(`tcp://127.0.0.1:${port}`)), name).detail).toBe("accepts connections");
    const gone = await examine(serve(`tcp://127.0.0.1:${await closedPort()}`));
    expectOnlyFault(gone, name, /nothing listens/, /Start the service/);
    expectOnlyFault(await examine(serve("gopher://x")), name, /cannot be checked/, /--help/);
  });

  test("unix sockets: missing, HTTP, raw", async () => {
    const path = join(folder, "app.sock");
    expectOnlyFault(await examine(serve(`unix:${path}`)), name, /no such socket file/, /Start the service/);
    await listening(createHttpServer((_request, response) => response.end()), path);
    expect(only(await examine(serve(`unix:${path}`)), name).detail).toBe("answers with status 200");
    expect(only(await examine(serve(`unix+tcp:${path}`)), name).detail).toBe("accepts connections");
  });

  test("tls and https: trusted, untrusted, taken unchecked", async () => {
    const pair = authority.leaf({ san: ["IP:127.0.0.1"] });
    const server = createTlsServer({ cert: pair.cert, key: pair.key }, (socket) => {
      socket.on("error", () => {}).on("data", () => socket.end("HTTP/1.1 204 No Content\r\n\r\n"));
    });
    server.on("tlsClientError", () => {});
    const port = await listening(server);
    const targetCa = { value: authority.cert };
    const tls = serve(`tls://127.0.0.1:${port}`);
    const https = serve(`https://127.0.0.1:${port}`);
    expect(only(await examine({ ...tls, targetCa }), name).detail).toMatch(
      /^TLSv1\.3, certificate of test authority/,
    );
    expect(only(await examine({ ...https, targetCa }), name).detail).toMatch(
      /^answers with status 204; TLSv1\.3/,
    );
    expectOnlyFault(await examine(https), name, /not trusted/, /--target-ca FILE/);
    const unchecked = only(await examine({ ...tls, targetInsecure: true }), name);
    expect(unchecked.status).toBe("warn");
    expect(unchecked.detail).toMatch(/taken unchecked/);
    expect(unchecked.cure).toMatch(/--target-ca/);
  });

  test("an app file that is not there", async () => {
    const app = { service: "web", file: join(folder, "app.ts") };
    expectOnlyFault(await examine({ app }), /^service web from/, /ENOENT/, /--app/);
  });

  test("many that hang take a bounded time, and keep their order", async () => {
    const port = await scripted();
    const services = Array.from(
      { length: 40 },
      (_, i) => ({ service: `s${i}`, target: `http://127.0.0.1:${port}` }),
    );
    const report = await examine({
      services,
      token: { value: tokenWith({ serve: ["*"] }) },
      options: { timeoutMs: 200 },
    });
    const names = report.checks.filter((it) => it.name.startsWith("service ")).map((it) => it.name);
    expect(names).toEqual(services.map(({ service, target }) => `service ${service} at ${target}`));
    expect(report.checks.filter(({ status }) => status === "fail")).toHaveLength(40);
  });
});

describe("doors", () => {
  const reach = (listen: string): Setup => ({ reach: [{ service: "db", listen }] });
  const name = /^reach db on /;

  test("free, also where a socket file was left behind", async () => {
    expect(only(await examine(reach(`127.0.0.1:${await freePort()}`)), name).detail).toBe("free");
    expect(only(await examine(reach(`unix:${join(folder, "door.sock")}`)), name).detail).toBe("free");
    expect(only(await examine({ egress: "127.0.0.1:0" }), /^egress on /).detail).toBe("free");
  });

  test("taken, with who holds it when that is known", async () => {
    const port = await scripted();
    expectOnlyFault(
      await examine(reach(`127.0.0.1:${port}`)),
      name,
      /another process.*EADDRINUSE/,
      /choose another/,
    );
    const held = (owner: string): Partial<DoctorOptions> => ({
      audit: () => ({
        ...WHOLE,
        listeners: [
          {
            protocol: "tcp",
            address: "127.0.0.1",
            port,
            reach: "loopback",
            owner: { kind: "process", pid: 7, name: owner },
          },
        ],
      }),
    });
    const known = await examine({ ...reach(`127.0.0.1:${port}`), options: held("postgres") });
    expectOnlyFault(known, name, /^postgres \(7\) listens there/, /Stop it/);
    const own = await examine({ ...reach(`127.0.0.1:${port}`), options: held("netwall-agent") });
    expect(only(own, name)).toMatchObject({
      status: "ok",
      detail: "held by an agent that runs already, netwall-agent (7)",
    });
    const path = join(folder, "held.sock");
    await scripted(undefined, path);
    expectOnlyFault(await examine(reach(`unix:${path}`)), name, /another process/, /Stop it/);
  });

  test("open to the outside, or no address", async () => {
    expectOnlyFault(await examine(reach("0.0.0.0:5432")), name, /no loopback/, /127\.0\.0\.1:5432/);
    for (const text of ["5432", "127.0.0.1:99999", "unix:"]) {
      expectOnlyFault(await examine(reach(text)), name, /no address/, /unix:PATH/);
    }
  });
});

describe("the place", () => {
  const exposed = { protocol: "tcp", address: "0.0.0.0", port: 8080, reach: "outside" };
  const broken: WallFact = {
    state: "broken",
    listeners: [{ ...exposed, owner: { kind: "process", pid: 12, name: "nginx" } }],
    faults: [],
  };

  test("the wall: broken and unknown are failures only where it is required", async () => {
    const audit = (): WallFact => broken;
    const required = await examine({ requireWall: true, options: { audit } });
    expectOnlyFault(required, /^wall$/, /tcp 0\.0\.0\.0:8080 nginx$/, /127\.0\.0\.1 or stop it/);
    expect(only(await examine({ options: { audit } }), /^wall$/).status).toBe("warn");
    expect(only(await examine({ auditWall: false, options: { audit } }), /^wall$/))
      .toMatchObject({ status: "ok", detail: "not looked at: --audit-wall=false" });
    const unknown = { audit: (): WallFact => ({ state: "unknown", listeners: [], faults: ["no /proc"] }) };
    expectOnlyFault(
      await examine({ requireWall: true, options: unknown }),
      /^wall$/,
      /unknown: no \/proc/,
      /proc/,
    );
  });

  test("the sandbox, as it is wanted", async () => {
    const sealStatus = (): SealOutcome => ({ kind: "unavailable", reason: "old kernel" });
    expect(only(await examine({ options: { sealStatus } }), /^sandbox$/).status).toBe("ok");
    expect(only(await examine({ seal: "on", options: { sealStatus } }), /^sandbox$/).status).toBe("warn");
    expectOnlyFault(
      await examine({ seal: "require", options: { sealStatus } }),
      /^sandbox$/,
      /old kernel/,
      /--seal/,
    );
    expect(only(await examine({ seal: "require" }), /^sandbox$/).detail).toMatch(
      /^--seal holds here: the kernel can$/,
    );
  });

  test("functions that throw or hang are failed checks, and the rest goes on", async () => {
    const report = await examine({
      options: {
        sealStatus: () => Promise.reject(new Error("no such call")),
        audit: () => new Promise<WallFact>(() => {}),
        timeoutMs: HASTY_MS,
      },
    });
    expect(only(report, /^sandbox$/).detail).toMatch(/no such call/);
    expect(only(report, /^wall$/).detail).toMatch(/no result within 400 ms/);
    expect(only(report, /^token$/).status).toBe("ok");
  });

  test("variables that open the process to others", async () => {
    const env = { BUN_INSPECT: "0.0.0.0:6499", BUN_OPTIONS: "--preload=x", HOME: "/" };
    const check = only(await examine({ options: { env } }), /^environment$/);
    // From source they are a warning: an executable refuses to start with them.
    expect(check.status).toBe("warn");
    expect(check.detail).toMatch(/^BUN_INSPECT, BUN_OPTIONS would open/);
    expect(check.cure).toBe("Unset BUN_INSPECT, BUN_OPTIONS");
  });
});

describe("the report", () => {
  test("faults of the settings are lines of their own, and nothing is tried", async () => {
    const plan = { faults: ["gateway (not given): no gateway is given", "serve[0] (--serve): no target"] };
    const report = await examine({ options: { plan } });
    expect(report.ok).toBe(false);
    expect(report.checks.filter(({ name }) => name === "configuration").map((it) => it.detail)).toEqual(
      plan.faults,
    );
    expect(report.checks.some(({ name }) => /^(token|gateway|service)/.test(name))).toBe(false);
  });

  test("is a line for each check and the sum, with nothing that could act on a terminal", async () => {
    const services = [{ service: "web", target: "tcp://127.0.0.1\u001b[31m\nok   forged:1" }];
    const report = await examine({ services });
    const lines = doctorText(report).trimEnd().split("\n");
    expect(lines).toHaveLength(report.checks.length + 1);
    for (const line of lines.slice(0, -1)) expect(line).toMatch(/^(ok {2}|warn|FAIL) \S.*: ./);
    expect(lines.at(-1)).toMatch(/^1 of \d+ checks failed$/);
    expect(doctorText(report)).not.toContain("\u001b");
    expect(doctorText(report)).toMatch(/\nFAIL service web at .*\. Do this: /);
  });

  test("as JSON has the keys of the contract alone", async () => {
    const report = await examine({ tokenFile: join(folder, "gone"), token: { error: "x" } });
    const { checks, ...rest } = JSON.parse(doctorJson(report)) as { checks: Record<string, unknown>[] };
    expect(rest).toEqual({});
    expect(checks.length).toBeGreaterThan(3);
    const keys = new Set(checks.flatMap((check) => Object.keys(check)));
    expect([...keys].sort()).toEqual(["cure", "detail", "ms", "name", "status"]);
    expect(doctorJson(report).trimEnd()).not.toContain("\n");
  });
});
