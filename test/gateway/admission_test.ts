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
import { Admission, type AdmissionEvent, type Call, LINK_SERVICES_MAX } from "../../lib/gateway/admission.ts";
import { Registry } from "../../lib/routing/registry.ts";
import { FrameType } from "../../lib/wire/frame.ts";
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

  async start(): Promise<this> {
    this.key = await loadOrCreateKey(this.dir);
    const admission = new Admission({
      ...{
        registry: this.registry,
        key: this.key,
        streamsMax: 10,
        sessionWindowBytes: 1 << 20,
        helloFields: [],
        linksMax: 3,
      },
      isRevoked: (id) => this.revoked.has(id),
      budget: new MemoryBudget(1 << 24, true),
      onEvent: (event) => {
        this.events.push(event);
        this.changed();
      },
      onCall: (call) => this.calls.push(call),
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

  async token(serve: string[], ttlMs = 3_600_000, id = createTokenId()): Promise<string> {
    const nowMs = Date.now();
    const rest = { reach: [], egress: false, namespace: "default", image: "" };
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
