/**
 * The examples: what they start is accepted by the real argument parser and the real settings, and they are as locked
 * down as they say.
 *
 * @module
 */
import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { parseArguments, type ProgramSpec, selectCommand } from "../lib/cli/arguments.ts";
import { agentConfig } from "../lib/config/agent_config.ts";
import { loadConfig } from "../lib/config/load.ts";
import { GATEWAY_PROGRAM } from "../lib/gateway/program.ts";
import { findBinary } from "./support/services.ts";

const ROOT = join(import.meta.dirname ?? ".", "..");
const EXAMPLES = join(ROOT, "examples");

const RUN = { name: "run", summary: "", options: agentConfig, examples: [] };
const AGENT_PROGRAM: ProgramSpec = {
  name: "netwall-agent",
  summary: "",
  commands: [RUN],
  defaultCommand: RUN,
};

/** Every file, and the test below that reads it: one that nothing reads would rot. */
const READ_BY: Readonly<Record<string, string>> = {
  "README.md": "command lines",
  "compose/compose.yaml": "compose",
  "compose/www/index.html": "the page",
  "docker/Dockerfile.agent": "docker",
  "docker/Dockerfile.gateway": "docker",
  "kubernetes/agent.yaml": "kubernetes",
  "seccomp/agent.json": "seccomp",
  ...Object.fromEntries(
    ["map", "events", "traffic"].flatMap((view) => [`${view}-light`, `${view}-dark`])
      .map((name) => [`page/${name}.png`, "npm run screenshots"]),
  ),
  ...Object.fromEntries(
    [
      "client",
      "front_end",
      "payment",
      "redis",
      "run",
      "service",
      "shop",
      "story",
      "teller",
      "traffic",
      "user",
    ]
      .map((name) => [`shop/${name}.ts`, "test/e2e/demo_test.ts"]),
  ),
  "systemd/netwall-agent.service": "systemd",
  "systemd/netwall-app.service": "systemd",
  "systemd/netwall-gateway.service": "systemd",
};

function read(path: string): string {
  return readFileSync(join(EXAMPLES, path), "utf8");
}

function documents(path: string): Record<string, unknown>[] {
  return parseAllDocuments(read(path)).map((document) => {
    expect(document.errors).toEqual([]);
    expect(document.warnings).toEqual([]);
    return document.toJS() as Record<string, unknown>;
  });
}

/** Reads a command line as the program does, up to its settings. Throws what the user would be told. */
function accept(program: "agent" | "gateway", words: readonly string[]): Record<string, unknown> {
  const spec = program === "agent" ? AGENT_PROGRAM : GATEWAY_PROGRAM;
  const { command, argv } = selectCommand(spec, words);
  const { flags, help, version } = parseArguments(command, argv);
  expect([help, version]).toEqual([false, false]);
  return loadConfig({ schema: command.options, flags, env: {} });
}

test("every file is known here", () => {
  const files = readdirSync(EXAMPLES, { recursive: true, encoding: "utf8" })
    .filter((path) => statSync(join(EXAMPLES, path)).isFile());
  // What somebody made by following the README is no part of the examples.
  const made = /^compose\/(data|run|token)\b/;
  expect(files.filter((path) => !made.test(path)).sort()).toEqual(Object.keys(READ_BY).sort());
});

test("a command line that is wrong is refused by what checks them here", () => {
  expect(() => accept("agent", ["run", "--gatway", "unix:/a"])).toThrow("gateway");
  expect(() => accept("agent", ["run", "--gateway", "unix:/a", "--token-file", "t"])).toThrow(
    "nothing to publish",
  );
  expect(() => accept("gateway", ["serve", "--route", "web"])).toThrow();
});

describe("docker", () => {
  for (const script of ["agent", "gateway"]) {
    test(`Dockerfile.${script} holds the executable that npm run compile makes, and nothing else`, () => {
      const lines = read(`docker/Dockerfile.${script}`).split("\n").filter((line) =>
        line !== "" && !line.startsWith("#")
      );
      expect(lines).toEqual([
        "FROM gcr.io/distroless/base-debian12",
        `COPY dist/netwall-${script} /netwall-${script}`,
        "USER 65532:65532",
        `ENTRYPOINT ["/netwall-${script}"]`,
      ]);
      const build = readFileSync(join(ROOT, "test/support/build.ts"), "utf8");
      expect(build).toContain("const path = `dist/netwall-${script}`;");
      expect(build).toContain('const SCRIPTS = ["gateway", "agent"] as const;');
    });
  }
});

type ComposeService = Record<string, unknown>;

/** A list of a service; empty when it has none. */
function listOf(service: ComposeService, key: string): string[] {
  return (service[key] ?? []) as string[];
}

describe("compose", () => {
  const [root] = parseAllDocuments(read("compose/compose.yaml")).map((it) =>
    it.toJS() as {
      services: Record<"gateway" | "app" | "agent", ComposeService>;
    }
  );
  const { gateway, app, agent } = root!.services;

  test("parses, and builds from files that are here", () => {
    expect(documents("compose/compose.yaml")).toHaveLength(1);
    for (const service of [gateway, agent]) {
      const { context, dockerfile } = service["build"] as { context: string; dockerfile: string };
      expect(statSync(join(EXAMPLES, "compose", context, dockerfile)).isFile()).toBe(true);
    }
    expect(read("compose/www/index.html")).toMatch(/^<!doctype html>/);
  });

  test("the command lines are accepted, and meet at the same socket", () => {
    const links = accept("gateway", listOf(gateway, "command"))["link"];
    expect(accept("agent", listOf(agent, "command"))["gateway"]).toEqual(links);
  });

  test("app and agent have no network and no port, and nobody has more than it needs", () => {
    expect(app["network_mode"]).toBe("none");
    expect(agent["network_mode"]).toBe("service:app");
    for (const service of [app, agent]) expect(service["ports"]).toBeUndefined();
    for (const service of [gateway, app, agent]) {
      expect(service["read_only"]).toBe(true);
      expect(service["cap_drop"]).toEqual(["ALL"]);
      expect(listOf(service, "security_opt")).toContain("no-new-privileges:true");
    }
    const profile = listOf(agent, "security_opt").find((option) => option.startsWith("seccomp:"))?.slice(8);
    expect(statSync(join(EXAMPLES, "compose", profile ?? "nowhere")).isFile()).toBe(true);
  });
});

interface Container {
  readonly name: string;
  readonly args?: string[];
  readonly ports?: unknown;
  readonly securityContext: unknown;
}

describe("kubernetes", () => {
  const all = parseAllDocuments(read("kubernetes/agent.yaml")).map((it) =>
    it.toJS() as Record<string, unknown>
  );
  const kind = (name: string): Record<string, unknown> => all.find((it) => it["kind"] === name) ?? {};
  const { spec } = (kind("Deployment")["spec"] as { template: { spec: Record<string, unknown> } }).template;
  const containers = spec["containers"] as Container[];

  test("parses, with all its parts", () => {
    expect(documents("kubernetes/agent.yaml").map((it) => it["kind"])).toEqual([
      ...["Secret", "NetworkPolicy", "ConfigMap", "Deployment"],
    ]);
  });

  test("the agent's command line is accepted", () => {
    const { args = [] } = containers.find(({ name }) => name === "agent") ?? { args: [] };
    expect(accept("agent", args)["gateway"]).toMatchObject([{ host: "edge.example.com", secure: true }]);
  });

  test("the policy lets nothing in, and only the gateway's address out", () => {
    const policy = kind("NetworkPolicy")["spec"] as Record<string, unknown>;
    expect(policy["policyTypes"]).toEqual(["Ingress", "Egress"]);
    expect(policy["ingress"]).toEqual([]);
    const [{ ip }] = spec["hostAliases"] as [{ ip: string }];
    expect(policy["egress"]).toEqual([
      { to: [{ ipBlock: { cidr: `${ip}/32` } }], ports: [{ protocol: "TCP", port: 443 }] },
    ]);
  });

  test("no container runs as root, writes its file system, or has a capability or a port", () => {
    expect(spec["securityContext"]).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(spec["automountServiceAccountToken"]).toBe(false);
    expect(containers).toHaveLength(2);
    for (const { ports, securityContext } of containers) {
      expect(ports).toBeUndefined();
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
    }
  });
});

describe("systemd", () => {
  const folder = mkdtempSync(join(tmpdir(), "netwall-units-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const units = readdirSync(join(EXAMPLES, "systemd"));
  const execOf = (unit: string): string[] =>
    (/^ExecStart=(.*)$/m.exec(read(`systemd/${unit}`))?.[1] ?? "").split(" ");

  test("the command lines are accepted, and meet at the same socket", () => {
    const [gatewayFile, ...gateway] = execOf("netwall-gateway.service");
    const [agentFile, ...agent] = execOf("netwall-agent.service");
    expect([gatewayFile, agentFile]).toEqual([
      "/usr/local/bin/netwall-gateway",
      "/usr/local/bin/netwall-agent",
    ]);
    expect(accept("agent", agent)["gateway"]).toEqual(accept("gateway", gateway)["link"]);
  });

  test("app and agent share a network of their own, and the agent cannot listen", () => {
    for (const unit of ["netwall-app.service", "netwall-agent.service"]) {
      expect(read(`systemd/${unit}`)).toMatch(/^PrivateNetwork=yes$/m);
    }
    const agent = read("systemd/netwall-agent.service");
    expect(agent).toMatch(/^JoinsNamespaceOf=netwall-app\.service$/m);
    expect(agent).toMatch(/^SystemCallFilter=~listen accept accept4 io_uring_setup$/m);
    for (const unit of units) {
      expect(read(`systemd/${unit}`)).toMatch(/^NoNewPrivileges=yes$/m);
      expect(read(`systemd/${unit}`)).not.toMatch(/^MemoryDenyWriteExecute=/m);
    }
  });

  const analyze = findBinary("systemd-analyze");
  test.skipIf(analyze === undefined)(
    "systemd finds no fault in the units (skipped without systemd-analyze)",
    () => {
      for (const unit of units) {
        // What they start is not installed here.
        writeFileSync(
          join(folder, unit),
          read(`systemd/${unit}`).replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"),
        );
      }
      const paths = units.map((unit) => join(folder, unit));
      const verify = (): string => {
        const { stdout, stderr } = spawnSync(analyze!, ["verify", "--man=no", ...paths], {
          encoding: "utf8",
        });
        return `${stdout}${stderr}`.split("\n").filter((line) => line.includes("netwall")).join("\n");
      };
      expect(verify()).toBe("");
      writeFileSync(
        paths[0]!,
        readFileSync(paths[0]!, "utf8").replace("[Service]", "[Service]\nPrivateNetwrk=yes"),
      );
      expect(verify()).toMatch(/PrivateNetwrk/);
      expect(units).toHaveLength(3);
    },
  );
});

interface SeccompRule {
  readonly names: string[];
  readonly action: string;
  readonly errnoRet: number;
  readonly args?: unknown[];
}

test("seccomp: the profile denies what it says, for whole architectures", () => {
  const profile = JSON.parse(read("seccomp/agent.json")) as {
    defaultAction: string;
    architectures: string[];
    syscalls: SeccompRule[];
  };
  expect(profile.defaultAction).toBe("SCMP_ACT_ALLOW");
  // A 32-bit call could listen under another number: no such architecture is let in.
  expect(profile.architectures).toEqual(["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"]);
  expect(profile.syscalls.filter(({ action }) => action !== "SCMP_ACT_ERRNO")).toEqual([]);
  const always = profile.syscalls.filter(({ args }) => args === undefined).flatMap(({ names }) => names);
  expect(new Set(always).size).toBe(always.length);
  const denied = [
    "listen",
    "accept",
    "accept4",
    "io_uring_setup",
    "mount",
    "ptrace",
    "bpf",
    "kexec_load",
    "unshare",
    "setns",
  ];
  for (const name of denied) expect(always).toContain(name);
  const EPERM = 1;
  const others = profile.syscalls.filter(({ errnoRet }) => errnoRet !== EPERM).flatMap(({ names }) => names);
  expect(others).toEqual(["clone3"]);
  // Each new namespace is a flag of clone.
  expect(profile.syscalls.filter(({ names, args }) => names[0] === "clone" && args !== undefined))
    .toHaveLength(7);
});

test("command lines in texts and comments are accepted", () => {
  let count = 0;
  for (const path of Object.keys(READ_BY)) {
    const lines = read(path).matchAll(
      /(?:^|[\s`])(?:netwall-)?(gateway|agent) ((?:run|serve|token) --[^|\n`]*)/gm,
    );
    for (const [, program, line] of lines) {
      const words = line!.trim().split(/\s+/).map((word) => word.replace(/^'(.*)'$/, "$1"));
      const settings = accept(program as "agent" | "gateway", words);
      expect(Object.keys(settings).length).toBeGreaterThan(0);
      count++;
    }
  }
  // README: compose, systemd and seccomp; the comment in the secret.
  expect(count).toBe(4);
});
