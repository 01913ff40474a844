/**
 * A gateway that was taken over tries to use its agents: addresses for names, kinds that do not fit, heads and windows
 * that are none, streams before HELLO. It gets resets or loses its session, and the agent dials nothing.
 *
 * @module
 */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LinkAcceptor } from "../../lib/link/acceptor.ts";
import type { Link } from "../../lib/link/link.ts";
import { FrameEncoder } from "../../lib/wire/codec.ts";
import { FLAG_END, FrameType, writeUint32 } from "../../lib/wire/frame.ts";
import { encodeFields } from "../../lib/wire/head.ts";
import { decodeFarewell, encodeOpen, type StreamKindName } from "../../lib/wire/open.ts";
import { TcpTarget } from "../e2e/tcp_wall.ts";
import { HostileGatewayRig } from "../support/hostile_gateway.ts";
import { netwallCommand, type Runtime, useProcesses } from "../support/processes.ts";
import { Changing } from "../support/raw_http.ts";
import { bytes, requestHead, ScriptedPeer } from "../support/scripted_peer.ts";
import { findBinary } from "../support/services.ts";

const NO_FIELDS = encodeFields([]);
const REQUEST = requestHead("GET", "/", ["Host", "x"]);
const STREAMS_MAX = 50;

/** What the agent serves: `db` and `sock` raw, `web` over HTTP. `bait` is what nobody may be led to. */
let db: TcpTarget;
let sock: TcpTarget;
let web: TcpTarget;
let bait: TcpTarget;
let folder: string;

/** Accepts at all targets. */
const accepts = (): number[] => [db, sock, web, bait].map(({ ends }) => ends.length);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "netwall-hostile-"));
  db = await TcpTarget.echo();
  web = await TcpTarget.start();
  bait = await TcpTarget.start();
  sock = await TcpTarget.start(({ socket }) => void socket.pipe(socket), join(folder, "target.sock"));
});
afterEach(() => {
  for (const target of [db, sock, web, bait]) target.close();
  rmSync(folder, { recursive: true, force: true });
});

const serves = (): string[] => [
  `db=tcp://127.0.0.1:${db.port}`,
  `sock=unix+tcp:${join(folder, "target.sock")}`,
  `web=http://127.0.0.1:${web.port}`,
];

/** Names that lead somewhere, for whoever takes them for addresses, paths or patterns. */
const namesThatLead = (): string[] => [
  ...[
    "127.0.0.1",
    `127.0.0.1:${bait.port}`,
    `localhost:${bait.port}`,
    "localhost",
    "::1",
    `[::1]:${bait.port}`,
  ],
  ...[
    `tcp://127.0.0.1:${bait.port}`,
    `http://127.0.0.1:${bait.port}/`,
    `unix:${folder}/target.sock`.slice(0, 63),
  ],
  ...[
    "169.254.169.254:80",
    "192.0.2.1:443",
    "10.0.0.1",
    "db:5432",
    "db=tcp://127.0.0.1:1",
    "DB",
    "Db",
    "db.",
    ".db",
  ],
  ...[
    "db ",
    " db",
    "db\0",
    "\0db",
    "db\r\nweb",
    "../db",
    "db/../web",
    "*",
    "d?",
    "%64b",
    "db,web",
    "__proto__",
  ],
  ...["constructor", "toString", "hasOwnProperty", "a".repeat(63), "\xff\xfe", "-", "db-", "xn--db"],
];

/** How a stream or its session ended: the code of the reset, or `session` with the code of GOAWAY. */
async function outcome(gateway: ScriptedPeer, id: number): Promise<string> {
  const find = (type: number): { payload: Uint8Array } | undefined =>
    gateway.seen.find((frame) => frame.type === type && (type === FrameType.goAway || frame.id === id));
  await gateway.until(
    () => gateway.ended || find(FrameType.reset) !== undefined || find(FrameType.goAway) !== undefined,
    () => `an end of stream ${id}`,
  );
  const reset = find(FrameType.reset);
  if (reset) return decodeFarewell(reset.payload).code;
  const goAway = find(FrameType.goAway);
  return `session ${goAway ? decodeFarewell(goAway.payload).code : "gone"}`;
}

/** Shows that the session still works: a right stream is served. */
async function stillServes(gateway: ScriptedPeer, id: number): Promise<void> {
  const before = db.ends.length;
  gateway.open(id, "tcp", "db", NO_FIELDS, false, "ping");
  const data = await gateway.frameOf(FrameType.data, id);
  expect(Buffer.from(data.payload).toString()).toBe("ping");
  expect(db.ends.length).toBe(before + 1);
  gateway.frame(FrameType.reset, 0, id, Uint8Array.of(0, 0, 0, 6));
}

describe("an agent in this process", () => {
  let rig: HostileGatewayRig;
  beforeEach(async () => {
    rig = new HostileGatewayRig();
    await rig.start({ serve: serves(), "streams-max": String(STREAMS_MAX) });
  });
  afterEach(() => rig.close());

  test("names that could be addresses are unknown services, for every kind of stream", async () => {
    const kinds: [StreamKindName, Uint8Array][] = [["tcp", NO_FIELDS], ["http", REQUEST], [
      "upgrade",
      REQUEST,
    ]];
    let id = 1;
    let tried = 0;
    for (const name of namesThatLead()) {
      for (const [kind, head] of kinds) {
        rig.gateway.open(id, kind, name, head, false);
        expect([name, kind, await rig.gateway.resetOf(id)]).toEqual([name, kind, "unknownService"]);
        id += 2;
        tried++;
      }
    }
    expect(tried).toBe(3 * namesThatLead().length);
    expect(accepts()).toEqual([0, 0, 0, 0]);
    await stillServes(rig.gateway, id);
  });

  test("an agent makes no calls for its gateway: egress streams are refused, whatever they name", async () => {
    const heads = [
      ["host", "127.0.0.1", "port", String(bait.port)],
      ["host", "localhost", "port", String(bait.port)],
      ["host", "db", "port", String(db.port)],
      ["host", "192.0.2.1", "port", "443"],
      [],
    ];
    let id = 1;
    for (const head of heads) {
      for (const service of ["", "db", "127.0.0.1"]) {
        rig.gateway.open(id, "egress", service, encodeFields(head), false, "x");
        expect(["refused", "denied", "unknownService"]).toContain(await rig.gateway.resetOf(id));
        id += 2;
      }
    }
    expect(accepts()).toEqual([0, 0, 0, 0]);
    await stillServes(rig.gateway, id);
  });

  test("a kind that does not fit the service is refused, and nothing is dialled", async () => {
    const wrong: [StreamKindName, string, Uint8Array][] = [
      ["tcp", "web", NO_FIELDS],
      ["http", "db", REQUEST],
      ["upgrade", "db", REQUEST],
      ["http", "sock", REQUEST],
    ];
    let id = 1;
    for (const [kind, service, head] of wrong) {
      rig.gateway.open(id, kind, service, head, false, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      expect([kind, service, await rig.gateway.resetOf(id)]).toEqual([kind, service, "refused"]);
      id += 2;
    }
    expect(accepts()).toEqual([0, 0, 0, 0]);
    await stillServes(rig.gateway, id);
  });

  test("a kind that nobody knows is refused, and the session lives", async () => {
    let id = 1;
    for (const kind of [0x00, 0x05, 0x7f, 0x80, 0xff]) {
      const open = encodeOpen({ kind: "tcp", service: "db", windowBytes: 1 << 18, head: NO_FIELDS });
      open[0] = kind;
      rig.gateway.frame(FrameType.open, 0, id, open);
      expect([kind, await rig.gateway.resetOf(id)]).toEqual([kind, "refused"]);
      id += 2;
    }
    expect(accepts()).toEqual([0, 0, 0, 0]);
    await stillServes(rig.gateway, id);
  });

  test("more streams than it may open are refused before anything is dialled", async () => {
    for (let index = 0; index < 4 * STREAMS_MAX; index++) {
      rig.gateway.open(1 + 2 * index, "tcp", "db", NO_FIELDS, false);
    }
    const resets = (): number => rig.gateway.seen.filter(({ type }) => type === FrameType.reset).length;
    const heads = (): number => rig.gateway.seen.filter(({ type }) => type === FrameType.head).length;
    await rig.gateway.until(
      () => rig.gateway.ended || (resets() >= 3 * STREAMS_MAX && heads() >= STREAMS_MAX),
      () => "the end of the flood",
    );
    expect(db.ends.length).toBeLessThanOrEqual(STREAMS_MAX);
    expect(heads()).toBeLessThanOrEqual(STREAMS_MAX);
  });

  test("a raw stream gets no more than the window that it was given", async () => {
    db.onConnection = (end) => void end.write(Buffer.alloc(1 << 20));
    const windowBytes = 1000;
    const open = encodeOpen({ kind: "tcp", service: "db", windowBytes, head: NO_FIELDS });
    rig.gateway.frame(FrameType.open, 0, 1, open);
    await rig.gateway.frameOf(FrameType.head, 1);
    const got = (): number =>
      rig.gateway.seen.filter(({ type, id }) => type === FrameType.data && id === 1)
        .reduce((sum, { payload }) => sum + payload.length, 0);
    await rig.gateway.until(() => got() >= windowBytes, () => "the window to be used");
    // A ping comes back behind whatever was sent before it.
    rig.gateway.frame(FrameType.ping, 0, 0, new Uint8Array(8).fill(9));
    await rig.gateway.frameOf(FrameType.pong);
    expect(got()).toBe(windowBytes);
  });

  test("data over the window of a raw stream ends the session", async () => {
    db.onConnection = ({ socket }) => void socket.pause();
    rig.gateway.open(1, "tcp", "db", NO_FIELDS, false);
    await rig.gateway.frameOf(FrameType.head, 1);
    const block = new Uint8Array(100_000);
    const { gateway } = rig;
    // The kernel takes some megabytes, then nobody does. A ping in between, so that this side has nothing queued.
    for (let round = 0; round < 64 && !gateway.ended; round++) {
      for (let sent = 0; sent < 10; sent++) gateway.frame(FrameType.data, 0, 1, block);
      const pongs = (): number => gateway.seen.filter(({ type }) => type === FrameType.pong).length;
      gateway.frame(FrameType.ping, 0, 0, new Uint8Array(8).fill(round));
      await gateway.until(() => pongs() > round || gateway.ended, () => "a pong");
    }
    expect(await outcome(gateway, 1)).toMatch(/flowControl/);
  });
});

/** Opens that break the protocol: each is a session of its own. */
const BROKEN: readonly (readonly [name: string, payload: () => Uint8Array])[] = [
  ["a window over 2^31 - 1", (): Uint8Array => {
    const open = encodeOpen({ kind: "tcp", service: "db", windowBytes: 0, head: NO_FIELDS });
    writeUint32(open, 1, 0xffff_ffff);
    return open;
  }],
  ["no service", () => Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0)],
  ["a service that is cut short", () => Uint8Array.of(3, 0, 0, 0, 0, 60, 0x64, 0x62, 0, 0)],
  ["a service over its limit", () => Uint8Array.from([3, 0, 0, 0, 0, 200, ...bytes("a".repeat(200)), 0, 0])],
  ["a head that is cut short", () => Uint8Array.from([3, 0, 0, 0, 0, 2, 0x64, 0x62, 0xff, 0xff, 1])],
  ["nothing at all", () => new Uint8Array(0)],
];

/** Heads of raw streams that are no field list. */
const BROKEN_HEADS: readonly (readonly [string, Uint8Array])[] = [
  ["noise", Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff)],
  ["a field that is cut short", encodeFields(["source", "127.0.0.1:1"]).subarray(0, 5)],
  ["a request", REQUEST],
];

describe("an open that breaks the protocol", () => {
  let rig: HostileGatewayRig;
  beforeEach(async () => {
    rig = new HostileGatewayRig();
    await rig.start({ serve: serves(), "proxy-protocol": ["db=v2"] });
  });
  afterEach(() => rig.close());

  for (const [name, payload] of BROKEN) {
    test(`${name} costs the session`, async () => {
      rig.gateway.frame(FrameType.open, 0, 1, payload());
      expect(await outcome(rig.gateway, 1)).toMatch(/^session (protocol|gone)$/);
      expect(accepts()).toEqual([0, 0, 0, 0]);
    });
  }

  for (const [name, head] of BROKEN_HEADS) {
    test(`a head that is ${name} costs the stream or the session`, async () => {
      rig.gateway.open(1, "tcp", "db", head, false, "x");
      expect(await outcome(rig.gateway, 1)).toMatch(/^(badRequest|protocol|refused|session protocol)$/);
      expect(accepts()).toEqual([0, 0, 0, 0]);
    });
  }

  test("a source that is no address never gets into a PROXY header", async () => {
    let id = 1;
    const sources = [
      "x\r\nPROXY",
      "127.0.0.1",
      "127.0.0.1:99999",
      "[::1",
      "",
      "1.2.3.4:5 evil",
      "\0".repeat(16),
    ];
    for (const source of sources) {
      const head = encodeFields(["source", source, "destination", source]);
      rig.gateway.open(id, "tcp", "db", head, false, "hello");
      const before = db.ends.length;
      const seen = (): number => db.ends.length;
      const over = outcome(rig.gateway, id);
      await Promise.race([over, db.until(() => seen() > before, () => "a connection")]).catch(() => {});
      for (const end of db.ends.slice(before)) {
        // Either no connection, or one whose header says that nothing is known: v2, PROXY, AF_UNSPEC.
        const got = await end.take(16 + 5);
        expect(got.subarray(0, 14).toString("hex")).toBe("0d0a0d0a000d0a515549540a2100");
        expect(got.subarray(-5).toString()).toBe("hello");
      }
      over.catch(() => {});
      if (rig.gateway.ended) break;
      rig.gateway.frame(FrameType.reset, 0, id, Uint8Array.of(0, 0, 0, 6));
      id += 2;
    }
    expect(id).toBe(1 + 2 * sources.length);
  });
});

/** A gateway that speaks before it has said who it is. */
class EarlyGateway extends Changing {
  readonly peers: ScriptedPeer[] = [];
  links = 0;
  closed = 0;
  readonly #server = http.createServer();
  readonly #sockets = new Set<Socket>();

  /** @param onLink Undefined for one that says HELLO at once, and whose peers are kept. */
  async listen(onLink?: (link: Link) => void): Promise<number> {
    const acceptor = new LinkAcceptor<undefined>({
      authenticate: () => Promise.resolve({ ok: true, identity: undefined }),
      onLink: (link) => {
        this.links++;
        if (onLink) onLink(link);
        else this.#script(link);
        this.changed();
      },
    });
    this.#server.on("upgrade", (request, socket, head) => {
      this.#sockets.add(socket as Socket);
      acceptor.handleUpgrade(request, socket, head);
    });
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  #script(link: Link): void {
    const peer = new ScriptedPeer(link, []);
    peer.onFrame = ({ type, payload }) => {
      if (type === FrameType.ping) peer.frame(FrameType.pong, 0, 0, payload);
    };
    this.peers.push(peer);
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

const processes = useProcesses();
const RUNTIMES: readonly Runtime[] = ["bun", "deno"];
const strace = findBinary("strace");
let mayTrace = false;

beforeAll(async () => {
  if (strace === undefined) return;
  // A container may forbid it.
  const { code } = await processes.start([strace, "-f", "-o", "/dev/null", "true"]).exit;
  mayTrace = code === 0;
});

for (const runtime of RUNTIMES) {
  describe(`an agent on ${runtime}`, () => {
    const agentArgs = (port: number): string[] => [
      ...netwallCommand(runtime, "agent"),
      ...["--gateway", `ws://127.0.0.1:${port}`, ...serves().flatMap((serve) => ["--serve", serve])],
    ];
    const env = { NETWALL_TOKEN: "any.token.will-do" };

    test("streams before HELLO cost the session, and nothing is dialled", async () => {
      const early = new EarlyGateway();
      let gone = 0;
      const port = await early.listen((link) => {
        const encoder = new FrameEncoder((message) => link.send(message));
        link.start({ onMessage: () => {}, onDrain: () => {}, onClose: () => gone++ });
        for (let id = 1; id < 20; id += 2) {
          const open = encodeOpen({ kind: "tcp", service: "db", windowBytes: 1 << 18, head: NO_FIELDS });
          encoder.write(FrameType.open, id % 4 === 1 ? FLAG_END : 0, id, open);
        }
        encoder.flush();
      });
      const agent = processes.start(agentArgs(port), { env });
      await early.until(() => early.links >= 2, () => `a second try, ${early.links} so far`, 20_000);
      expect(gone).toBeGreaterThanOrEqual(1);
      expect(accepts()).toEqual([0, 0, 0, 0]);
      expect(agent.stdout()).toBe("");
      expect(await agent.stop()).toMatchObject({ code: 0 });
      early.close();
    }, 40_000);

    test.skipIf(strace === undefined)("the kernel sees no connection but to the gateway", async () => {
      if (!mayTrace) return;
      const gateway = new EarlyGateway();
      const port = await gateway.listen();
      const trace = join(folder, "trace");
      const agent = processes.start([
        strace!,
        "-f",
        "-qq",
        "-e",
        "trace=connect",
        "-o",
        trace,
        ...agentArgs(port),
      ], {
        env,
        ownGroup: true,
      });
      await gateway.until(() => gateway.peers.length > 0, () => `a link: ${agent.stderr()}`, 30_000);
      const peer = gateway.peers[0]!;
      await peer.frameOf(FrameType.hello);
      let id = 1;
      for (const name of namesThatLead()) {
        for (const kind of ["tcp", "http", "egress"] as const) {
          const head = kind === "http" ? REQUEST : encodeFields(["host", "192.0.2.1", "port", "443"]);
          peer.open(id, kind, name, head, false, "x");
          id += 2;
        }
      }
      peer.open(id, "tcp", "web", NO_FIELDS, false);
      await outcome(peer, id);
      const resets = peer.seen.filter(({ type }) => type === FrameType.reset).length;
      expect([resets, accepts()]).toEqual([(id + 1) / 2, [0, 0, 0, 0]]);
      // To show that the trace would have told: one stream that is right.
      await stillServes(peer, id + 2);
      agent.kill();
      await agent.exit;
      const connects = readFileSync(trace, "utf8").split("\n").filter((line) => line.includes("sin"));
      const ports = connects.map((line) => /sin6?_port=htons\((\d+)\)/.exec(line)?.[1]);
      expect(connects.length).toBeGreaterThan(0);
      expect([...new Set(ports)].sort()).toEqual([String(port), String(db.port)].sort());
      const unix = readFileSync(trace, "utf8").match(/sun_path="[^"]*target\.sock"/g);
      expect([unix, existsSync(trace)]).toEqual([null, true]);
      gateway.close();
    }, 60_000);
  });
}
