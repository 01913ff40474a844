/**
 * Tests of admission: what a link may serve comes from its token alone, and ends with it.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadOrCreateKey } from "../../lib/auth/key_store.ts";
import { createTokenId, mintToken, type SigningKey } from "../../lib/auth/token.ts";
import { dialLink } from "../../lib/link/dial.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import {
  Admission,
  type AdmissionEvent,
  type Call,
  LINKS_MAX,
  LINKS_PER_TOKEN_MAX,
  WALL_EVENTS_PER_MINUTE_MAX,
} from "../../lib/gateway/admission.ts";
import { LINK_SERVICES_MAX } from "../../lib/gateway/attachment.ts";
import { Registry } from "../../lib/routing/registry.ts";
import { FrameType, REPORT_BYTES_MAX } from "../../lib/wire/frame.ts";
import { encodeFields } from "../../lib/wire/head.ts";
import { decodeHello } from "../../lib/wire/hello.ts";
import { decodeFarewell } from "../../lib/wire/open.ts";
import { Changing } from "../support/raw_http.ts";
import { requestHead, ScriptedPeer } from "../support/scripted_peer.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

class Rig extends Changing {
  readonly registry = new Registry();
  readonly events: AdmissionEvent[] = [];
  readonly revoked = new Set<string>();
  readonly dir = mkdtempSync(join(tmpdir(), "netwall-admission-"));
  key: SigningKey | undefined;
  admission: Admission | undefined;
  readonly calls: Call[] = [];
  faults = 0;
  port = 0;

  async start(linksMax = 3): Promise<this> {
    this.key = await loadOrCreateKey(this.dir);
    const admission = new Admission({
      ...{
        registry: this.registry,
        key: this.key,
        streamsMax: 10,
        sessionWindowBytes: 1 << 20,
        helloFields: [],
        linksMax,
      },
      isRevoked: (id) => this.revoked.has(id),
      budget: new MemoryBudget(1 << 24, true),
      onEvent: (event) => {
        this.events.push(event);
        this.changed();
      },
      onCall: (call) => {
        this.calls.push(call);
        this.changed();
      },
      onBusy: () => {},
      onStreamReset: () => {},
      onFault: () => this.faults++,
    });
    this.admission = admission;
    const server = http.createServer();
    const sockets = new Set<Socket>();
    server.on("upgrade", (request, socket, head) => {
      sockets.add(socket as Socket);
      admission.handleUpgrade(request, socket as Socket, head);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
    closers.push(async () => {
      await admission.drain(0);
      for (const socket of sockets) socket.destroy();
      server.close();
      rmSync(this.dir, { recursive: true });
      expect(this.faults).toBe(0);
    });
    return this;
  }

  async token(
    serve: string[],
    ttlMs = 3_600_000,
    id = createTokenId(),
    calls: { reach?: string[]; egress?: boolean } = {},
  ): Promise<string> {
    const nowMs = Date.now();
    const rest = { reach: [], egress: false, namespace: "default", image: "", ...calls };
    const times = { issuedAtMs: nowMs, expiresAtMs: nowMs + ttlMs };
    return await mintToken(this.key!, { id, name: "box", serve, ...rest, ...times });
  }

  async dial(token: string, helloFields: string[]): Promise<ScriptedPeer> {
    const gateway = { kind: "tcp" as const, secure: false, host: "127.0.0.1", port: this.port, path: "/" };
    const peer = new ScriptedPeer(await dialLink({ gateway, token }), helloFields);
    closers.push(() => peer.close());
    return peer;
  }

  async eventOf(kind: AdmissionEvent["kind"]): Promise<AdmissionEvent> {
    const find = (): AdmissionEvent | undefined => this.events.find((event) => event.kind === kind);
    await this.until(
      () => find() !== undefined,
      () => `${kind} in ${JSON.stringify(this.events.map((e) => e.kind))}`,
    );
    return find()!;
  }
}

async function goneWith(peer: ScriptedPeer): Promise<{ code: string; detail: string }> {
  return decodeFarewell((await peer.frameOf(FrameType.goAway)).payload);
}

test("links are bounded, and one that ends makes room for another", async () => {
  const rig = await new Rig().start();
  const token = await rig.token(["web"]);
  const peers = [];
  for (let i = 0; i < 3; i++) peers.push(await rig.dial(token, ["services", "web"]));
  await rig.until(() => rig.registry.links("web") === 3, () => `${rig.registry.links("web")} links`);
  await expect(rig.dial(token, ["services", "web"])).rejects.toThrow("Too many agents");
  expect(rig.admission!.sessions()).toHaveLength(3);
  peers[0]!.close();
  await rig.eventOf("lost");
  await rig.dial(token, ["services", "web"]);
});

test(
  "links of one token are bounded, by its id, and another token of the same agent still links",
  async () => {
    const rig = await new Rig().start(LINKS_MAX);
    const hog = await rig.token(["web"]);
    const peers: ScriptedPeer[] = [];
    while (peers.length < LINKS_PER_TOKEN_MAX) {
      const count = Math.min(125, LINKS_PER_TOKEN_MAX - peers.length);
      peers.push(
        ...await Promise.all(Array.from({ length: count }, () => rig.dial(hog, ["services", "web"]))),
      );
    }
    expect(rig.admission!.sessions()).toHaveLength(LINKS_PER_TOKEN_MAX);
    for (let i = 0; i < 3; i++) {
      const message = `The token of box has ${LINKS_PER_TOKEN_MAX} links already`;
      await expect(rig.dial(hog, ["services", "web"])).rejects.toThrow(message);
    }
    const other = await rig.token(["api"]);
    await rig.dial(other, ["services", "api"]);
    await rig.until(() => rig.registry.links("api") === 1, () => "the link of another token");
    expect(rig.admission!.sessions()).toHaveLength(LINKS_PER_TOKEN_MAX + 1);
    // One that ends makes room for one.
    peers[0]!.close();
    await rig.eventOf("lost");
    await rig.dial(hog, ["services", "web"]);
    await expect(rig.dial(hog, ["services", "web"])).rejects.toThrow("links already");
  },
  60_000,
);

test("links of one token that dial all at once are no more than it may have", async () => {
  const rig = await new Rig().start(LINKS_MAX);
  const hog = await rig.token(["web"]);
  const dials: Promise<ScriptedPeer>[] = [];
  for (let i = 0; i < LINKS_PER_TOKEN_MAX + 50; i++) dials.push(rig.dial(hog, ["services", "web"]));
  expect(await Promise.allSettled(dials)).toHaveLength(LINKS_PER_TOKEN_MAX + 50);
  const { length } = rig.admission!.sessions();
  expect(length).toBeGreaterThan(LINKS_PER_TOKEN_MAX / 2);
  expect(length).toBeLessThanOrEqual(LINKS_PER_TOKEN_MAX);
}, 60_000);

describe("services", () => {
  test("what the token names is served, and ends with the link", async () => {
    const rig = await new Rig().start();
    const claims = ["services", "web,api", "hostname", "h\n1", "runtime", "r".repeat(1000), "evil", "x"];
    const peer = await rig.dial(await rig.token(["web", "api"]), claims);
    await rig.eventOf("linked");
    const attachment = rig.registry.select("web");
    expect(attachment).toMatchObject({ agent: "box", services: ["web", "api"] });
    expect(attachment!.claimed).toEqual({ hostname: "h\n1", runtime: "r".repeat(255) });
    peer.close();
    expect(await rig.eventOf("lost")).toMatchObject({ agent: "box" });
    expect(rig.registry.select("web")).toBeUndefined();
    expect(rig.admission!.sessions()).toEqual([]);
  });

  test("what it does not name is refused, all of it", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["web"]);
    const many = Array.from({ length: LINK_SERVICES_MAX + 1 }, (_, i) => `s-${i}`).join(",");
    const hellos: string[][] = [
      ["services", "web,db"],
      ["services", "db"],
      ["services", ""],
      ["services", ",,,"],
      [],
      ["services", "*"],
      ["services", "WEB"],
      ["services", "web\n"],
      ["services", " web"],
      ["services", many],
      ["services", "x".repeat(60_000)],
      ["services", "__proto__"],
    ];
    for (const hello of hellos) {
      const gone = await goneWith(await rig.dial(token, hello));
      expect([hello.join("=").slice(0, 40), gone.code]).toEqual([hello.join("=").slice(0, 40), "identity"]);
      expect(gone.detail.length).toBeLessThan(200);
    }
    expect(hellos).toHaveLength(12);
    await rig.until(() => rig.events.length >= 12, () => "12 events");
    expect(rig.events.every((event) => event.kind === "refused")).toBe(true);
    expect(rig.registry.all()).toEqual([]);
  });

  test("a token for any service serves any name that is one", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["*"]);
    expect((await goneWith(await rig.dial(token, ["services", "*"]))).code).toBe("identity");
    await rig.dial(token, ["services", "web,web,web"]);
    await rig.eventOf("linked");
    expect(rig.registry.links("web")).toBe(1);
  });

  test("a second link of the same name is told as one again", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["web"]);
    await rig.dial(token, ["services", "web"]);
    await rig.dial(token, ["services", "web"]);
    await rig.until(() => rig.events.length === 2, () => "two links");
    expect(rig.events.map((event) => event.kind === "linked" && event.again)).toEqual([false, true]);
    expect(rig.registry.links("web")).toBe(2);
  });
});

describe("calls", () => {
  const hour = 3_600_000;

  test("are let in only from those whose token allows some, and HELLO says so", async () => {
    const rig = await new Rig().start();
    const cases: [{ reach?: string[]; egress?: boolean }, number][] = [
      [{}, 0],
      [{ reach: ["db"] }, 10],
      [{ egress: true }, 10],
      [{ reach: ["*"], egress: true }, 10],
    ];
    for (const [calls, streamsMax] of cases) {
      const peer = await rig.dial(await rig.token(["web"], hour, undefined, calls), ["services", "web"]);
      const hello = decodeHello((await peer.frameOf(FrameType.hello)).payload);
      expect([calls, hello.streamsMax]).toEqual([calls, streamsMax]);
      peer.open(2, "tcp", "db", new Uint8Array(2), false);
      if (streamsMax === 0) expect(await peer.resetOf(2)).toBe("refused");
      else await rig.until(() => rig.calls.length > 0, () => "the call");
      for (const { open, caller, stream } of rig.calls.splice(0)) {
        expect([open.kind, open.service, caller.name, caller.egress]).toEqual([
          ...["tcp", "db", "box"],
          calls.egress ?? false,
        ]);
        stream.reset("denied");
      }
      peer.close();
      await rig.until(() => rig.admission!.sessions().length === 0, () => "the end of the link");
    }
    expect(cases).toHaveLength(4);
  });

  test("alone are reason enough for a link: it serves nothing", async () => {
    const rig = await new Rig().start();
    for (const calls of [{ reach: ["db"] }, { egress: true }]) {
      await rig.dial(await rig.token([], hour, undefined, calls), []);
    }
    await rig.until(() => rig.events.length === 2, () => "two links");
    expect(rig.events.map(({ kind }) => kind)).toEqual(["linked", "linked"]);
    expect(rig.registry.all().map(({ services }) => services)).toEqual([[], []]);
    const gone = await goneWith(await rig.dial(await rig.token([]), []));
    expect(gone).toMatchObject({ code: "identity" });
    expect(gone.detail).toContain("names no service and its token allows no calls");
  });

  test("to be served need the token too, whatever they may call", async () => {
    const rig = await new Rig().start();
    const token = await rig.token([], hour, undefined, { reach: ["*"], egress: true });
    const gone = await goneWith(await rig.dial(token, ["services", "db"]));
    expect(gone).toMatchObject({ code: "identity" });
    expect(rig.registry.all()).toEqual([]);
  });

  test("over the limit of a link are refused before anybody hears of them", async () => {
    const rig = await new Rig().start();
    const token = await rig.token([], hour, undefined, { reach: ["*"] });
    const peer = await rig.dial(token, []);
    await rig.eventOf("linked");
    for (let i = 0; i < 300; i++) peer.open(2 + 2 * i, "tcp", "db", new Uint8Array(2), false);
    const resets = (): number => peer.seen.filter(({ type }) => type === FrameType.reset).length;
    await peer.until(() => resets() === 290, () => `${resets()} resets`);
    expect(rig.calls).toHaveLength(10);
    for (const { stream } of rig.calls) stream.reset("denied");
  });

  test("of a link whose HELLO was refused are heard by nobody", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["web"], hour, undefined, { reach: ["*"] });
    const peer = await rig.dial(token, ["services", "db"]);
    peer.open(2, "tcp", "db", new Uint8Array(2), false);
    expect((await goneWith(peer)).code).toBe("identity");
    expect(rig.calls).toEqual([]);
  });
});

describe("raw services", () => {
  test("are those of the list that are served at all, and select() tells them apart", async () => {
    const rig = await new Rig().start();
    const hello = ["services", "web,db", "tcp", "db,other,,db,__proto__"];
    await rig.dial(await rig.token(["*"]), hello);
    await rig.eventOf("linked");
    const [attachment] = rig.registry.all();
    expect([...attachment!.tcp]).toEqual(["db"]);
    const kinds = ["db", "web", "other"].map((name) => rig.registry.kindOf(name));
    expect(kinds).toEqual(["tcp", "http", undefined]);
    expect(rig.registry.select("db", undefined, "tcp")).toBe(attachment);
    expect(rig.registry.select("db")).toBeUndefined();
  });
});

describe("a service that others serve in another way", () => {
  test.each(
    [
      ["as raw connections", ["services", "web", "tcp", "web"], [], "as HTTP", "http"],
      ["as HTTP", ["services", "web"], ["tcp", "web"], "as raw connections", "tcp"],
    ] as const,
  )("is refused %s, and nothing changes", async (_name, wrong, right, way, kind) => {
    const rig = await new Rig().start(10);
    const token = await rig.token(["*"]);
    for (let i = 0; i < 2; i++) await rig.dial(token, ["services", "web,api", ...right]);
    await rig.until(() => rig.registry.links("web", kind) === 2, () => "two links");
    const before = rig.registry.all();
    const lies: string[][] = [
      [...wrong],
      // All of a link is refused, also what others serve in the same way, and what nobody serves.
      ["services", "new,api,web", ...wrong.slice(2)],
      ["services", "new,web,new", ...wrong.slice(2)],
    ];
    for (const lie of lies) {
      const peer = await rig.dial(token, lie);
      expect([lie, await goneWith(peer)]).toEqual([lie, {
        code: "refused",
        detail: `Other agents serve web ${way}: serve it in the same way`,
      }]);
      expect(rig.registry.all()).toEqual(before);
      expect([rig.registry.kindOf("web"), rig.registry.kindOf("api")]).toEqual([kind, "http"]);
      const other = kind === "http" ? "tcp" : "http";
      expect([rig.registry.links("web", kind), rig.registry.links("web", other)]).toEqual([2, 0]);
      for (let i = 0; i < 8; i++) {
        expect(before.includes(rig.registry.select("web", undefined, kind)!)).toBe(true);
        expect(rig.registry.select("web", undefined, other)).toBeUndefined();
      }
    }
    expect([lies.length, rig.registry.knows("new")]).toEqual([3, false]);
    await rig.until(() => rig.events.length === 5, () => "three refusals");
    expect(rig.events.map(({ kind }) => kind).join()).toBe("linked,linked,refused,refused,refused");
  });

  test("may be served in that way once the others have left", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["*"]);
    const first = await rig.dial(token, ["services", "web"]);
    await rig.eventOf("linked");
    first.close();
    await rig.eventOf("lost");
    await rig.dial(token, ["services", "web", "tcp", "web"]);
    await rig.until(() => rig.registry.links("web", "tcp") === 1, () => "the raw link");
    expect(rig.registry.kindOf("web")).toBe("tcp");
  });

  test("is not told of to those whose token does not name it", async () => {
    const rig = await new Rig().start();
    await rig.dial(await rig.token(["web"]), ["services", "web"]);
    await rig.eventOf("linked");
    const peer = await rig.dial(await rig.token(["api"]), ["services", "web", "tcp", "web"]);
    const { code, detail } = await goneWith(peer);
    expect([code, detail.includes("may not serve"), detail.includes("as HTTP")]).toEqual([
      "identity",
      true,
      false,
    ]);
  });
});

describe("a report of the wall", () => {
  const report = (peer: ScriptedPeer, ...fields: string[]): unknown =>
    peer.frame(FrameType.report, 0, 0, encodeFields(fields));
  const WHOLE = ["wall", "whole", "listeners", "2"];
  const BROKEN = ["wall", "broken", "listeners", "2", "exposed", "tcp 0.0.0.0:80 nginx(1)"];
  const walls = (rig: Rig): AdmissionEvent[] => rig.events.filter(({ kind }) => kind === "wall");

  async function link(): Promise<{ rig: Rig; peer: ScriptedPeer }> {
    const rig = await new Rig().start();
    const peer = await rig.dial(await rig.token(["web"]), ["services", "web"]);
    await rig.eventOf("linked");
    return { rig, peer };
  }

  /** Settles when the gateway has read everything that was sent before. */
  async function read(peer: ScriptedPeer, mark: number): Promise<void> {
    peer.frame(FrameType.ping, 0, 0, new Uint8Array(8).fill(mark));
    await peer.until(
      () => peer.seen.some(({ type, payload }) => type === FrameType.pong && payload[0] === mark),
      () => "PONG",
    );
  }

  test("is kept for its link, told when it changes, and gone with the link", async () => {
    const { rig, peer } = await link();
    const [attachment] = rig.registry.all();
    expect(attachment!.wall).toBeUndefined();
    report(peer, ...WHOLE);
    report(peer, ...WHOLE);
    report(peer, ...BROKEN);
    report(peer, ...BROKEN);
    report(peer, ...WHOLE);
    await read(peer, 1);
    expect(walls(rig)).toHaveLength(3);
    expect(walls(rig).map((event) => event.kind === "wall" && event.before?.state))
      .toEqual([undefined, "whole", "broken"]);
    expect(attachment!.wall!.claim).toEqual({ state: "whole", listeners: 2, exposed: [], faults: [] });
    expect(Math.abs(Date.now() - attachment!.wall!.atMs)).toBeLessThan(10_000);
    expect(rig.registry.totals().walls).toEqual([{ agent: "box", state: "whole" }]);
    peer.close();
    await rig.eventOf("lost");
    expect(rig.registry.totals().walls).toEqual([]);
  });

  test("that cannot be one makes the wall unknown: the one before does not stand", async () => {
    const { rig, peer } = await link();
    const [attachment] = rig.registry.all();
    const lies: string[][] = [
      [],
      ["wall", "whole"],
      ["wall", "splendid", "listeners", "0"],
      ["wall", "whole", "listeners", "1", "exposed", "tcp 0.0.0.0:80"],
      ["wall", "broken", "listeners", "1"],
      ["wall", "whole", "listeners", "-1"],
      ["wall", "whole", "wall", "whole", "listeners", "0"],
      ["wall", "broken", "listeners", "1", "exposed", "x".repeat(256)],
      ["wall", "broken", "listeners", "1", "exposed", "a\nb"],
    ];
    for (const [index, lie] of lies.entries()) {
      report(peer, ...WHOLE);
      report(peer, ...lie);
      await read(peer, index + 1);
      expect([lie, attachment!.wall!.claim]).toEqual([lie, {
        ...{ state: "unknown", listeners: 0, exposed: [], faults: ["The report cannot be read"] },
      }]);
    }
    expect(lies).toHaveLength(9);
    expect(rig.registry.select("web")).toBe(attachment);
  });

  test("may come as often as an agent likes: it changes what is shown, and never floods the log", async () => {
    const { rig, peer } = await link();
    for (let i = 0; i < 2_000; i++) report(peer, ...WHOLE);
    await read(peer, 1);
    expect(walls(rig)).toHaveLength(1);
    for (let i = 0; i < 2_000; i++) report(peer, ...(i % 2 ? WHOLE : BROKEN));
    report(peer, ...BROKEN);
    await read(peer, 2);
    expect(walls(rig)).toHaveLength(WALL_EVENTS_PER_MINUTE_MAX);
    expect(rig.registry.all()[0]!.wall!.claim.state).toBe("broken");
    // Another link has its own count.
    const other = await rig.dial(await rig.token(["web"]), ["services", "web"]);
    report(other, ...BROKEN);
    await read(other, 1);
    expect(walls(rig)).toHaveLength(WALL_EVENTS_PER_MINUTE_MAX + 1);
  });

  test("that is too long or no list of fields ends the link", async () => {
    const { rig, peer } = await link();
    peer.frame(FrameType.report, 0, 0, new Uint8Array(REPORT_BYTES_MAX + 1));
    expect((await goneWith(peer)).code).toBe("protocol");
    const other = await rig.dial(await rig.token(["web"]), ["services", "web"]);
    other.frame(FrameType.report, 0, 0, Uint8Array.of(0, 1, 0));
    expect((await goneWith(other)).code).toBe("protocol");
  });
});

describe("the end of a token", () => {
  test("a revoked token ends its links and no others", async () => {
    const rig = await new Rig().start();
    const id = createTokenId();
    const peer = await rig.dial(await rig.token(["web"], 3_600_000, id), ["services", "web"]);
    await rig.dial(await rig.token(["api"]), ["services", "api"]);
    await rig.until(() => rig.events.length === 2, () => "two links");
    rig.admission!.revoke([id]);
    expect(await goneWith(peer)).toMatchObject({ code: "identity" });
    await rig.eventOf("lost");
    expect(rig.registry.select("web")).toBeUndefined();
    expect(rig.registry.select("api")).toBeDefined();
  });

  test("a link ends when its token expires, and the token dials no more", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["web"], 1_500);
    const peer = await rig.dial(token, ["services", "web"]);
    await rig.eventOf("linked");
    const gone = await goneWith(peer);
    expect(gone.code).toBe("identity");
    expect(gone.detail).toMatch(/expired/);
    await expect(rig.dial(token, ["services", "web"])).rejects.toThrow(/expired/i);
  });

  test("a token is refused before there is a link: revoked, of another key, changed, none", async () => {
    const rig = await new Rig().start();
    const other = await new Rig().start();
    const id = createTokenId();
    rig.revoked.add(id);
    const good = await rig.token(["web"]);
    const [head, body, signature] = good.split(".") as [string, string, string];
    const none = btoa(JSON.stringify({ alg: "none", typ: "JWT" })).replaceAll("=", "");
    const wider = btoa(JSON.stringify({ ...JSON.parse(atob(body)), serve: ["*"] })).replaceAll("=", "");
    const tokens = [
      await rig.token(["web"], 3_600_000, id),
      await other.token(["web"]),
      `${head}.${wider}.${signature}`,
      `${none}.${body}.`,
      `${none}.${body}.${signature}`,
      `${head}.${body}.`,
      `${head}.${body}`,
      "x",
      "a".repeat(5000),
    ];
    for (const token of tokens) {
      await expect(rig.dial(token, ["services", "web"])).rejects.toThrow();
    }
    expect(tokens).toHaveLength(9);
    expect(rig.admission!.sessions()).toEqual([]);
    expect(rig.events).toHaveLength(9);
    for (const event of rig.events) {
      expect(event.kind).toBe("refused");
      expect(JSON.stringify(event)).not.toContain(signature);
    }
  });
});

describe("a hostile agent", () => {
  test("may not open streams", async () => {
    const rig = await new Rig().start();
    const peer = await rig.dial(await rig.token(["web"]), ["services", "web"]);
    await rig.eventOf("linked");
    peer.open(2, "http", "web", requestHead("GET", "/", []), true);
    expect(await peer.resetOf(2)).toBe("refused");
    expect(rig.registry.select("web")).toBeDefined();
  });

  test("without a HELLO there is no service, and garbage ends the link", async () => {
    const rig = await new Rig().start();
    const gateway = { kind: "tcp" as const, secure: false, host: "127.0.0.1", port: rig.port, path: "/" };
    const link = await dialLink({ gateway, token: await rig.token(["web"]) });
    let ended = false;
    link.start({
      onMessage: () => {},
      onDrain: () => {},
      onClose: () => {
        ended = true;
        rig.changed();
      },
    });
    link.send(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255));
    await rig.until(() => ended, () => "the end of the link");
    expect((await rig.eventOf("refused")).kind).toBe("refused");
    expect(rig.registry.all()).toEqual([]);
  });

  test("after leaving, nobody new comes in and those who are there are told", async () => {
    const rig = await new Rig().start();
    const token = await rig.token(["web"]);
    const peer = await rig.dial(token, ["services", "web"]);
    await rig.eventOf("linked");
    rig.admission!.leave();
    expect((await goneWith(peer)).code).toBe("draining");
    await expect(rig.dial(token, ["services", "web"])).rejects.toThrow(/stopping/i);
  });
});
