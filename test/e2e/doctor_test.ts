/**
 * `netwall-agent doctor` as people run it: beside real gateways, with tokens that work and tokens that do not.
 *
 * @module
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { TestAuthority } from "../support/certificates.ts";
import {
  denoBinary,
  type Exit,
  netwallCommand,
  ROOT,
  type Runtime,
  useProcesses,
} from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import { get, RawTarget, request } from "./raw.ts";
import {
  CROSS,
  linkCount,
  mintFor,
  portOf,
  type RunningGateway,
  startAgent,
  startGateway,
  TEST_MS_MAX,
} from "./wall.ts";

const processes = useProcesses();
let target: RawTarget;
let authority: TestAuthority;

beforeAll(async () => {
  target = await RawTarget.start();
  authority = new TestAuthority();
});
afterAll(() => {
  target?.close();
  authority?.dispose();
});

interface Diagnosis {
  readonly exit: Exit;
  readonly text: string;
  /** Name to `status detail`, of a run with `--json`. */
  readonly checks: ReadonlyMap<string, string>;
}

/** Runs the doctor. Its standard error must stay empty: whatever is wrong is in the report. */
async function diagnose(runtime: Runtime, args: readonly string[], token?: string): Promise<Diagnosis> {
  const env = { NETWALL_TOKEN: token };
  const child = processes.start([...netwallCommand(runtime, "agent"), "doctor", ...args], { env });
  const exit = await child.exit;
  expect(child.stderr()).toBe("");
  const text = child.stdout();
  if (token !== undefined) expect(text).not.toContain(token);
  const found = args.includes("--json")
    ? (JSON.parse(text) as { checks: { name: string; status: string; detail: string }[] }).checks
    : [];
  return {
    exit,
    text,
    checks: new Map(found.map(({ name, status, detail }) => [name, `${status} ${detail}`])),
  };
}

const FINE = { code: 0, signal: null };
const FAILED = { code: 1, signal: null };

for (const [gatewayRuntime, agentRuntime] of CROSS) {
  describe(`gateway on ${gatewayRuntime}, doctor on ${agentRuntime}`, () => {
    let gateway: RunningGateway;
    let at: string[];
    const it = (name: string, body: () => Promise<void>): void => test(name, body, TEST_MS_MAX);

    beforeAll(async () => {
      const pair = authority.leaf({ san: ["DNS:localhost"] });
      const https = ["--https", "127.0.0.1:0", "--cert", pair.certPath, "--key", pair.keyPath];
      gateway = await startGateway(processes, gatewayRuntime, { args: ["--route", "*=web", ...https] });
      at = ["--gateway", `ws://127.0.0.1:${gateway.port}`];
    });
    afterAll(async () => {
      await gateway?.process.stop();
    });

    it("all is well: exit code 0, and the gateway gained no link", async () => {
      const data = gateway.data;
      const token = await mintFor(data, { name: "well", serve: ["web", "db"] });
      const tokenFile = join(processes.folder(), "token");
      writeFileSync(tokenFile, token);
      chmodSync(tokenFile, 0o600);
      const serve = ["--serve", `web=${target.url}`, "--serve", `db=${target.url.replace("http:", "tcp:")}`];
      const before = linkCount(gateway);
      const { exit, checks } = await diagnose(agentRuntime, [
        ...at,
        ...serve,
        "--token-file",
        tokenFile,
        "--json",
      ]);
      expect(exit).toEqual(FINE);
      expect(checks.get("token")).toMatch(/^warn well, less than a day left, until 20/);
      expect(checks.get("token allows")).toBe("ok serve web, db");
      expect(checks.get(`token file ${tokenFile}`)).toBe("ok mode 600");
      expect(checks.get(`gateway ws://127.0.0.1:${gateway.port}/.netwall/link`)).toMatch(
        /^ok linked in \d+ ms/,
      );
      expect(checks.get(`service web at ${target.url}`)).toBe("ok answers with status 200");
      expect(checks.get(`service db at ${target.url.replace("http:", "tcp:")}`)).toBe(
        "ok accepts connections",
      );
      expect(linkCount(gateway)).toBe(before);
      expect((await request(gateway.port, get("/"))).status).toBe(503);
    });

    it("beside an agent at work it takes none of its traffic", async () => {
      const token = await mintFor(gateway.data, { name: "busy", serve: ["web"] });
      const args = ["--serve", `web=${target.url}`];
      const agent = await startAgent(processes, agentRuntime, gateway, { args, token });
      const running = diagnose(agentRuntime, [...at, ...args], token);
      for (let i = 0; i < 20; i++) expect((await request(gateway.port, get("/"))).status).toBe(200);
      const { exit, text } = await running;
      expect(exit).toEqual(FINE);
      expect(text).toMatch(/^ok {3}gateway ws:.*: linked in \d+ ms/m);
      expect(text.trimEnd().split("\n").at(-1)).toMatch(/checks are fine/);
      await agent.stop();
    });

    it("tokens: revoked, expired, of another gateway, and for other services", async () => {
      const serve = ["--serve", `web=${target.url}`];
      const revoked = await mintFor(gateway.data, { name: "revoked" });
      const revoke = [
        ...netwallCommand(gatewayRuntime, "gateway"),
        "token",
        "revoke",
        "revoked",
        "--data",
        gateway.data,
      ];
      await processes.run(revoke);
      // The gateway looks at its list every second.
      const refused = await startRefused(revoked, serve);
      expect(refused).toMatch(/revoked/);
      const cases: [token: string, line: RegExp][] = [
        [revoked, /^FAIL gateway .*: the token was revoked \(401, revoked\)\. Do this: Mint a new one/m],
        [
          await mintFor(gateway.data, { ttlMs: -1_000 }),
          /^FAIL gateway .*: the token has expired \(401, expired\)/m,
        ],
        [
          await mintFor(processes.folder()),
          /^FAIL gateway .*: the token is not of this gateway \(401, signature\)/m,
        ],
        [
          await mintFor(gateway.data, { serve: ["api"] }),
          /^FAIL token allows: it lacks --serve web\. Do this: .*--serve web$/m,
        ],
      ];
      let count = 0;
      for (const [token, line] of cases) {
        const { exit, text } = await diagnose(agentRuntime, [...at, ...serve], token);
        expect(exit).toEqual(FAILED);
        expect(text).toMatch(line);
        count++;
      }
      expect(count).toBe(4);
    });

    /** An agent that the gateway must have turned away: from then on the doctor is, too. */
    async function startRefused(token: string, args: readonly string[]): Promise<string> {
      const env = { NETWALL_TOKEN: token };
      for (;;) {
        const agent = processes.agent(agentRuntime, [...at, ...args], { env });
        const outcome = await Promise.race([agent.exit, agent.ready.catch(() => undefined)]);
        const { code } = await agent.stop();
        if (code === 3) return agent.stderr();
        expect(outcome).toBeDefined();
      }
    }

    it("TLS: trusted, and then for another name", async () => {
      const token = await mintFor(gateway.data);
      const port = portOf(gateway.addresses["https"]);
      const ca = ["--gateway-ca", join(authority.folder, "ca.pem")];
      const serve = ["--serve", `web=${target.url}`];
      const good = await diagnose(agentRuntime, [
        "--gateway",
        `wss://localhost:${port}`,
        ...ca,
        ...serve,
        "--json",
      ], token);
      expect(good.exit).toEqual(FINE);
      expect(good.checks.get(`tls localhost:${port}`)).toMatch(/^ok TLSv1\.3, certificate of test authority/);
      const wrong = await diagnose(
        agentRuntime,
        ["--gateway", `wss://127.0.0.1:${port}`, ...ca, ...serve],
        token,
      );
      expect(wrong.exit).toEqual(FAILED);
      expect(wrong.text).toMatch(
        /^FAIL tls 127\.0\.0\.1:\d+: the certificate is for other names: DNS:localhost/m,
      );
    });

    test.skipIf(agentRuntime !== "deno")(
      "with narrow permissions of Deno it blames these, and links all the same (skipped on bun)",
      async () => {
        const token = await mintFor(gateway.data, { name: "narrow" });
        const port = gateway.port;
        const doctor = async (net: string, ...args: string[]): Promise<string> => {
          const narrow = ["run", "--no-prompt", "--no-remote", "--allow-env", `--allow-net=${net}`];
          const command = [denoBinary(), ...narrow, join(ROOT, "agent.ts"), "doctor", ...args];
          const child = processes.start(command, { env: { NETWALL_TOKEN: token } });
          expect(await child.exit).toEqual(FAILED);
          expect(child.stderr()).toBe("");
          return child.stdout();
        };
        const web = ["--serve", "web=http://127.0.0.1:9"];
        const door = join(processes.folder(), "door.sock");
        const text = await doctor(
          `localhost:${port}`,
          ...["--gateway", `ws://localhost:${port}`, "--gateway", "wss://edge.test", ...web],
          ...["--reach", "db=127.0.0.1:5432", "--reach", `db=unix:${door}`, "--seal"],
        );
        const lines = [
          /^warn proc: Deno runs without --allow-all and cannot read \/proc\. Do this: Use Bun, or/m,
          /^ok {3}name localhost: Deno allows to connect to port \d+ of it, and no more$/m,
          /^ok {3}gateway ws:\/\/localhost:\d+\/\.netwall\/link: linked in /m,
          /^FAIL name edge\.test: Deno does not allow it\. Do this: .*--allow-net=edge\.test:443 /m,
          /^FAIL service web .*: Deno does not allow it\. Do this: .*--allow-net=127\.0\.0\.1:9 /m,
          /^FAIL reach db on 127\.0\.0\.1:5432: Deno does not allow it\. Do this: .*--allow-net=127\.0\.0\.1:5432 /m,
          /^FAIL reach db on unix:.*Do this: .*--allow-net=unix:\S+ --allow-read=\S+ --allow-write=\S+ /m,
          // Never cut: it is there to be pasted.
          /^warn sandbox: .* and 3 more: start it with deno run .* --allow-sys=hostname \S*agent\.ts …\. Do this/m,
          /^warn wall: Deno runs without --allow-all and cannot read \/proc: the wall is unknown\. Do this: Use/m,
        ];
        for (const line of lines) expect(text).toMatch(line);
        expect(lines).toHaveLength(9);
        expect(text).not.toMatch(/resolv\.conf|Mount/);
      },
      TEST_MS_MAX,
    );

    const unshare = process.getuid?.() === 0 ? findBinary("unshare") : undefined;
    test.skipIf(unshare === undefined)(
      "where there is no network at all, it says so (skipped without root)",
      async () => {
        const command = [unshare!, "-n", "--", ...netwallCommand(agentRuntime, "agent"), "doctor"];
        const args = [
          "--gateway",
          "ws://10.1.2.3",
          "--gateway",
          "wss://edge.test",
          "--serve",
          "web=unix:/nowhere",
        ];
        const child = processes.start([...command, ...args], { env: { NETWALL_TOKEN: "x" } });
        expect(await child.exit).toEqual(FAILED);
        for (const name of ["connect 10\\.1\\.2\\.3:80", "name edge\\.test"]) {
          expect(child.stdout()).toMatch(
            new RegExp(`^FAIL ${name}: there is no network here .*unix:PATH$`, "m"),
          );
        }
      },
      TEST_MS_MAX,
    );

    it("nothing works: each fault has its line, and the settings too", async () => {
      const missing = join(processes.folder(), "missing.sock");
      const args = [
        "--gateway",
        `unix:${missing}`,
        "--serve",
        `web=unix:${missing}`,
        "--token-file",
        missing,
      ];
      const { exit, text } = await diagnose(agentRuntime, args);
      expect(exit).toEqual(FAILED);
      for (const name of ["token file", "connect unix:", "service web at unix:"]) {
        expect(text.split("\n").some((line) => line.startsWith(`FAIL ${name}`))).toBe(true);
      }
      const wrong = await diagnose(agentRuntime, ["--serve", "web=3000"]);
      expect(wrong.exit).toEqual(FAILED);
      expect(wrong.text).toMatch(
        /^FAIL configuration: serve\[0\] \(--serve\): target "3000" is a port alone/m,
      );
    });
  });
}
