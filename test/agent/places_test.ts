/**
 * Tests of what an agent dials, opens and reads: nothing more goes into its seal, and nothing that it needs is left out.
 *
 * @module
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeBackends } from "../../lib/agent/backends.ts";
import { readText, StartError } from "../../lib/agent/files.ts";
import { dialAddress, readTlsFiles, sealOptionsOf } from "../../lib/agent/places.ts";
import { type AgentConfig, agentConfig } from "../../lib/config/agent_config.ts";
import { loadConfig } from "../../lib/config/load.ts";
import { LinkError } from "../../lib/link/link.ts";

type Flags = Parameters<typeof loadConfig>[0]["flags"];

const folders: string[] = [];
afterEach(() => {
  for (const path of folders.splice(0)) rmSync(path, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "netwall-places-"));
  folders.push(path);
  return path;
}

function configOf(flags: Flags): Readonly<AgentConfig> {
  const token = "token-file" in flags ? {} : { token: "t" };
  const least = { gateway: ["wss://edge.test"], ...token, serve: ["web=http://127.0.0.1:3000"] };
  return loadConfig({ schema: agentConfig, flags: { ...least, ...flags }, env: {} });
}

describe("sealOptionsOf()", () => {
  test("is the gateway and the target, and nothing else, when nothing else is set", () => {
    expect(sealOptionsOf(configOf({}), {})).toEqual({
      connect: [{ host: "edge.test", port: 443 }, { host: "127.0.0.1", port: 3000 }],
      ...{ listen: [], connectUnix: [], listenUnix: [], read: [] },
    });
  });

  test("holds every kind of gateway, target and door once, each in its list", () => {
    const options = sealOptionsOf(
      configOf({
        gateway: ["wss://edge.test:8443", "ws://127.0.0.1:8080", "unix:/run/netwall/gateway.sock"],
        serve: [
          ...["web=https://app.test:8443", "db=tcp://db.test:5432", "mail=tls://mail.test:993"],
          ...["local=unix:/run/app.sock", "raw=unix+tcp:/run/raw.sock", "six=tcp://[::1]:6000"],
        ],
        reach: ["cache=127.0.0.1:6379", "queue=unix:/run/queue.sock", "any=127.0.0.1:0"],
        egress: "[::1]:3128",
      }),
      {},
    );
    expect(options).toEqual({
      connect: [
        { host: "edge.test", port: 8443 },
        { host: "127.0.0.1", port: 8080 },
        { host: "app.test", port: 8443 },
        { host: "db.test", port: 5432 },
        { host: "mail.test", port: 993 },
        { host: "::1", port: 6000 },
      ],
      listen: [
        { host: "127.0.0.1", port: 6379 },
        { host: "127.0.0.1", port: 0 },
        { host: "::1", port: 3128 },
      ],
      connectUnix: ["/run/netwall/gateway.sock", "/run/app.sock", "/run/raw.sock"],
      listenUnix: ["/run/queue.sock"],
      read: [],
    });
  });

  test("through a proxy the proxy is dialled and not the gateway, but for what is local", () => {
    const env = { "https_proxy": "http://user:secret@proxy.test:3128", "no_proxy": "direct.test" };
    const { connect } = sealOptionsOf(
      configOf({ gateway: ["wss://edge.test", "wss://direct.test", "wss://localhost:8443"] }),
      env,
    );
    expect(connect).toEqual([
      { host: "proxy.test", port: 3128 },
      { host: "direct.test", port: 443 },
      { host: "localhost", port: 8443 },
      { host: "127.0.0.1", port: 3000 },
    ]);
    expect(JSON.stringify(connect)).not.toContain("secret");
  });

  test("a proxy that is none is a refusal for good", () => {
    let failed: unknown;
    try {
      sealOptionsOf(configOf({}), { "https_proxy": "socks5://proxy.test:1" });
    } catch (error) {
      failed = error;
    }
    expect(failed).toBeInstanceOf(LinkError);
    expect((failed as LinkError).permanent).toBe(true);
  });

  test("holds the files that are read once it runs", () => {
    const { read } = sealOptionsOf(
      configOf({
        ...{ "token-file": "/run/token", "target-ca": "/etc/target.pem", "gateway-ca": "/etc/ca.pem" },
        ...{ "gateway-cert": "/etc/cert.pem", "gateway-key": "/etc/key.pem", app: "/srv/app.ts", as: "site" },
      }),
      {},
    );
    expect(read.toSorted()).toEqual([
      ...["/etc/ca.pem", "/etc/cert.pem", "/etc/key.pem", "/etc/target.pem", "/run/token", "/srv/app.ts"],
    ]);
  });
});

describe("dialAddress()", () => {
  test("gives the link what it dials, with the path of the gateway", () => {
    const { gateway } = configOf({
      gateway: ["wss://edge.test", "ws://[::1]:8080/tunnel", "unix:/run/gateway.sock"],
    });
    expect(gateway.map(dialAddress)).toEqual([
      { kind: "tcp", secure: true, host: "edge.test", port: 443, path: "/.netwall/link" },
      { kind: "tcp", secure: false, host: "::1", port: 8080, path: "/tunnel" },
      { kind: "unix", path: "/run/gateway.sock", route: "/.netwall/link" },
    ]);
  });
});

describe("files of the settings", () => {
  test("one that cannot be read is told with its flag, its path and what to check", () => {
    const path = join(folder(), "none.pem");
    let failed: unknown;
    try {
      readText(path, "--gateway-ca");
    } catch (error) {
      failed = error;
    }
    expect(failed).toBeInstanceOf(StartError);
    for (const part of [path, "--gateway-ca", "ENOENT", "check"]) {
      expect((failed as Error).message).toContain(part);
    }
    expect((failed as Error).cause).toBeDefined();
  });

  test("those of TLS are read, and only those that are set", () => {
    const path = join(folder(), "ca.pem");
    writeFileSync(path, "a certificate");
    expect(readTlsFiles(configOf({}))).toEqual({});
    expect(readTlsFiles(configOf({ "gateway-ca": path }))).toEqual({ ca: "a certificate" });
    expect(() => readTlsFiles(configOf({ "gateway-cert": path, "gateway-key": `${path}.none` }))).toThrow(
      "--gateway-key",
    );
  });
});

describe("makeBackends()", () => {
  test("makes of each target what it is, and gives the header only to whom it was promised", async () => {
    const backends = await makeBackends(
      configOf({
        serve: [
          ...[
            "web=http://127.0.0.1:1",
            "local=unix:/run/a.sock",
            "db=tcp://127.0.0.1:2",
            "mail=tls://127.0.0.1:3",
          ],
          "raw=unix+tcp:/run/b.sock",
        ],
        "proxy-protocol": ["mail=v2", "db=v1"],
        ...{ app: "unused", as: "site" },
      }),
      () => new Response(""),
    );
    const shown = [...backends].map(([service, backend]) => [
      service,
      backend.kind,
      backend.kind === "tcp" ? backend.proxyVersion : undefined,
    ]);
    expect(shown).toEqual([
      ["web", "http", undefined],
      ["local", "http", undefined],
      ["db", "tcp", 1],
      ["mail", "tcp", 2],
      ["raw", "tcp", undefined],
      ["site", "app", undefined],
    ]);
    for (const backend of backends.values()) if (backend.kind === "http") backend.client.close();
  });

  test("with the fetch engine HTTP by port is an app, by unix socket it is not", async () => {
    const backends = await makeBackends(
      configOf({ replay: "fetch", serve: ["web=http://127.0.0.1:1", "local=unix:/run/a.sock"] }),
      undefined,
    );
    expect([...backends].map(([, { kind }]) => kind)).toEqual(["app", "http"]);
    for (const backend of backends.values()) if (backend.kind === "http") backend.client.close();
  });

  test("an app that cannot be loaded, or is none, is told so", async () => {
    const at = folder();
    const cases: readonly (readonly [string, string, string])[] = [
      ["none.mjs", "", "Cannot load the app"],
      ["broken.mjs", "throw new Error('not today')", "not today"],
      ["empty.mjs", "export const fetch = () => {}", "export default { fetch }"],
      ["null.mjs", "export default null", "export default { fetch }"],
    ];
    for (const [name, text, message] of cases) {
      const path = join(at, name);
      if (text !== "") writeFileSync(path, text);
      const failed = await makeBackends(configOf({ app: path, as: "site" }), undefined).catch((error) =>
        error
      );
      expect(failed).toBeInstanceOf(StartError);
      expect((failed as Error).message).toContain(message);
    }
    expect(cases).toHaveLength(4);
  });

  test("an app is called as a method of its module", async () => {
    const path = join(folder(), "app.mjs");
    writeFileSync(path, "export default { name: 'me', fetch() { return new Response(this.name); } }");
    const backend = (await makeBackends(configOf({ app: path, as: "site" }), undefined)).get("site")!;
    const response = backend.kind === "app" ? await backend.handler(new Request("http://site/")) : undefined;
    expect(await response!.text()).toBe("me");
  });

  test("a missing authority for targets is told before anything is served", async () => {
    const path = join(folder(), "none.pem");
    const failed = await makeBackends(configOf({ "target-ca": path }), undefined).catch((error) => error);
    expect((failed as Error).message).toContain("--target-ca");
  });
});
