/**
 * Who may serve what: tokens that are wrong, expired, revoked or for something else, and who a visitor is.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { netwallCommand, type RunningProcess, useProcesses } from "../support/processes.ts";
import { answer, fieldOf, fieldsOf, get, RawConnection, RawTarget, readHead, request } from "./raw.ts";
import {
  CROSS,
  eventually,
  linkCount,
  mintFor,
  type RunningGateway,
  spawnAgent,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const REFUSED = { code: 3, signal: null };

const processes = useProcesses();
let target: RawTarget;

beforeAll(async () => {
  target = await RawTarget.start();
});
afterAll(() => target?.close());

function serveWeb(): string[] {
  return ["--serve", `web=${target.url}`];
}

/** An agent that is refused ends with code 3, says why, and was never ready. */
async function expectRefused(agent: RunningProcess, reason: RegExp, token: string): Promise<void> {
  expect(await agent.exit).toEqual(REFUSED);
  expect(agent.stdout()).toBe("");
  expect(agent.stderr()).toMatch(reason);
  expect(agent.stderr()).not.toContain(token);
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, agent on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    beforeAll(async () => {
      gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=web", "--route", "two.test=two"],
      });
    });
    afterAll(async () => {
      await gateway?.process.stop();
    });

    it("a token of another gateway is refused", async () => {
      const token = await mintFor(processes.folder());
      const agent = await spawnAgent(processes, agentRuntime, gateway, { args: serveWeb(), token });
      await expectRefused(agent, /refused the link: .*\(401, signature\)/, token);
    });

    it("garbage and a token that was altered are refused", async () => {
      const token = await mintFor(gateway.data);
      const [head = "", claims = "", signature = ""] = token.split(".");
      const forged = JSON.parse(atob(claims.replaceAll("-", "+").replaceAll("_", "/"))) as Record<
        string,
        unknown
      >;
      const altered = btoa(JSON.stringify({ ...forged, exp: 9_999_999_999 })).replace(/=+$/, "")
        .replaceAll("+", "-").replaceAll("/", "_");
      const none = btoa('{"alg":"none"}').replace(/=+$/, "");
      const wrong = ["not-a-token", `${head}.${altered}.${signature}`, `${none}.${claims}.`, `${token}x`];
      for (const each of wrong) {
        const agent = await spawnAgent(processes, agentRuntime, gateway, { args: serveWeb(), token: each });
        await expectRefused(agent, /refused the link: .*\(401, (malformed|signature)\)/, each);
      }
    });

    it("a token that has expired is refused", async () => {
      const token = await mintFor(gateway.data, { ttlMs: -1_000 });
      const agent = await spawnAgent(processes, agentRuntime, gateway, { args: serveWeb(), token });
      await expectRefused(agent, /expired.*\(401, expired\)/, token);
    });

    it("a token that expires while linked ends the link, and the agent with it", async () => {
      const token = await mintFor(gateway.data, { ttlMs: 2_500 });
      const agent = await startAgent(processes, agentRuntime, gateway, { args: serveWeb(), token });
      expect((await request(gateway.port, get("/"))).status).toBe(200);
      expect(await agent.exit).toEqual(REFUSED);
      expect(agent.stderr()).toMatch(/token has expired/);
      expect((await request(gateway.port, get("/"))).status).toBe(503);
    });

    it("a token that is revoked while linked ends the link within seconds, and no other", async () => {
      const command = [...netwallCommand(gatewayRuntime, "gateway"), "token"];
      const data = ["--data", gateway.data];
      const mint = [...command, "--name", "doomed", "--serve", "web", "--ttl", "1h", ...data];
      const token = (await processes.run(mint)).trim();
      const other = await startAgent(processes, agentRuntime, gateway, { args: serveWeb(), name: "other" });
      const doomed = await startAgent(processes, agentRuntime, gateway, { args: serveWeb(), token });
      const revokedAtMs = Date.now();
      expect(await processes.run([...command, "revoke", "doomed", ...data])).toMatch(/^Revoked /);
      expect(await doomed.exit).toEqual(REFUSED);
      expect(Date.now() - revokedAtMs).toBeLessThan(10_000);
      expect(doomed.stderr()).toMatch(/token was revoked/);
      // The other goes on, and the revoked one is not let in again.
      expect((await request(gateway.port, get("/"))).status).toBe(200);
      const again = await spawnAgent(processes, agentRuntime, gateway, { args: serveWeb(), token });
      await expectRefused(again, /revoked.*\(401, revoked\)/, token);
      await other.stop();
    });

    it("a service that the token does not name is refused by its name, also beside one that it names", async () => {
      const before = linkCount(gateway);
      const token = await mintFor(gateway.data, { serve: ["web"] });
      const args = [...serveWeb(), "--serve", `admin=${target.url}`];
      const agent = await spawnAgent(processes, agentRuntime, gateway, { args, token });
      await expectRefused(agent, /may not serve \\?"admin\\?"/, token);
      expect(linkCount(gateway)).toBe(before);
      expect((await request(gateway.port, get("/"))).status).toBe(503);
    });

    it("the log of the gateway names refusals and no token", async () => {
      await gateway.process.waitFor("stderr", /"link refused".*"signature"/);
      await gateway.process.waitFor("stderr", /"link refused".*"expired"/);
      expect(gateway.process.stderr()).not.toMatch(/eyJ/);
    });

    it("two agents of one service share its requests", async () => {
      const ends: { own: RawTarget; agent: RunningProcess }[] = [];
      for (const name of ["a", "b"]) {
        const own = await RawTarget.start();
        own.on("/", (connection) => connection.write(answer(200, name)));
        const args = ["--serve", `web=${own.url}`];
        ends.push({ own, agent: await startAgent(processes, agentRuntime, gateway, { name, args }) });
      }
      const seen = { a: 0, b: 0 };
      for (let i = 0; i < 40; i++) seen[(await request(gateway.port, get("/"))).text() as "a" | "b"]++;
      expect(seen.a + seen.b).toBe(40);
      expect(Math.min(seen.a, seen.b)).toBeGreaterThanOrEqual(10);
      // A busy one is passed over.
      ends[0]!.own.on("/busy", async (connection) => void await connection.rest());
      ends[1]!.own.on("/busy", async (connection) => void await connection.rest());
      const busy = await RawConnection.open(gateway.port);
      busy.write(get("/busy"));
      const isBusy = ({ own }: typeof ends[number]): boolean => own.count("/busy") === 1;
      const first = await eventually(() => ends.find(isBusy), (end) => end !== undefined);
      const idle = ends.find((end) => end !== first)!;
      const before = idle.own.count("/");
      for (let i = 0; i < 10; i++) await request(gateway.port, get("/"));
      expect(idle.own.count("/") - before).toBe(10);
      busy.destroy();
      // One leaves: the other serves alone.
      await ends[0]!.agent.stop();
      ends[0]!.own.close();
      for (let i = 0; i < 5; i++) expect((await request(gateway.port, get("/"))).text()).toBe("b");
      await ends[1]!.agent.stop();
      ends[1]!.own.close();
    });

    it("one agent may serve two services, each by its own route", async () => {
      const two = await RawTarget.start();
      const args = [...serveWeb(), "--serve", `two=${two.url}`];
      const agent = await startAgent(processes, agentRuntime, gateway, { args });
      expect((await request(gateway.port, get("/one"))).status).toBe(200);
      expect((await request(gateway.port, get("/two", ["Host: two.test"]))).status).toBe(200);
      expect([target.count("/one"), target.count("/two"), two.count("/one"), two.count("/two")]).toEqual([
        1,
        0,
        0,
        1,
      ]);
      await agent.stop();
      two.close();
      target.seen.length = 0;
    });

    it("the link is for agents: what visitors and web pages send there is refused", async () => {
      const path = "/.netwall/link";
      expect((await request(gateway.port, get(path))).status).toBe(426);
      const upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
      const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
      const protocol = `Sec-WebSocket-Protocol: netwall.1`;
      const noToken = await request(gateway.port, get(path, [...upgrade, key, protocol]));
      expect(noToken.status >= 400 && noToken.status < 500).toBe(true);
      const token = await mintFor(gateway.data);
      const page = [...upgrade, key, protocol, `Authorization: Bearer ${token}`, "Origin: https://evil.test"];
      expect((await request(gateway.port, get(path, page))).status).toBe(403);
      const connection = await RawConnection.open(gateway.port);
      connection.write(get(path, [...upgrade, protocol, `Authorization: Bearer ${token}`]));
      expect((await readHead(connection)).line).toMatch(/ 400 /);
      connection.destroy();
    });
  });
}

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`who the visitor is, gateway on ${gatewayRuntime}`, () => {
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);
    const sent = [
      "X-Forwarded-For: 203.0.113.7, 10.0.0.1",
      "X-Forwarded-Proto: https",
      "X-Forwarded-Host: public.test",
      "Forwarded: for=203.0.113.7",
    ];

    it("a trusted proxy is believed, and continued", async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: [
          "--route",
          "*=web",
          "--trusted-proxy",
          "127.0.0.0/8",
          "--trusted-proxy",
          "10.0.0.0/8",
          "--log-access",
        ],
      });
      const agent = await startAgent(processes, agentRuntime, gateway, { args: serveWeb() });
      const path = `/trusted-${gatewayRuntime}`;
      await request(gateway.port, get(path, sent));
      const seen = await target.request(path);
      expect(fieldsOf(seen, "x-forwarded-for")).toEqual(["203.0.113.7, 10.0.0.1, 127.0.0.1"]);
      expect(fieldsOf(seen, "x-forwarded-proto")).toEqual(["https"]);
      expect(fieldsOf(seen, "x-forwarded-host")).toEqual(["public.test"]);
      expect(fieldOf(seen, "forwarded")).toMatch(/^for=203\.0\.113\.7, for=127\.0\.0\.1;/);
      // The first address that is no trusted proxy, read from the end, is the visitor.
      const [line] = await gateway.process.waitFor("stderr", new RegExp(`.*"${path}".*`));
      expect(JSON.parse(line)).toMatchObject({ visitor: "203.0.113.7", status: 200, service: "web" });
      await agent.stop();
      await gateway.process.stop();
    });

    it("any other proxy is not", async () => {
      const gateway = await startGateway(processes, gatewayRuntime, {
        args: ["--route", "*=web", "--trusted-proxy", "10.0.0.0/8", "--log-access"],
      });
      const agent = await startAgent(processes, agentRuntime, gateway, { args: serveWeb() });
      const path = `/untrusted-${gatewayRuntime}`;
      await request(gateway.port, get(path, sent));
      const seen = await target.request(path);
      expect(fieldsOf(seen, "x-forwarded-for")).toEqual(["127.0.0.1"]);
      expect(seen.raw).not.toMatch(/203\.0\.113|public\.test|https/);
      const [line] = await gateway.process.waitFor("stderr", new RegExp(`.*"${path}".*`));
      expect(JSON.parse(line)).toMatchObject({ visitor: "127.0.0.1" });
      await agent.stop();
      await gateway.process.stop();
    });
  });
}
