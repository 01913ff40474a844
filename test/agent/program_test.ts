/**
 * Tests of the commands of the agent's program that look and change nothing, and of what it says of errors.
 *
 * @module
 */
import { afterEach, expect, test } from "bun:test";
import net from "node:net";
import process from "node:process";
import { StartError } from "../../lib/agent/files.ts";
import { AGENT_COMMANDS, AGENT_PROGRAM, explainAgentError, warnOfDoors } from "../../lib/agent/program.ts";
import { runProgram } from "../../lib/cli/program.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import { ConfigError, loadConfig } from "../../lib/config/load.ts";
import { ListenFault } from "../../lib/http/visitor_server.ts";
import { LinkError } from "../../lib/link/link.ts";
import { keptLog } from "../doors/gateway_end.ts";

const servers: net.Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** Runs the program and keeps what it prints. The command `run` is not run: it would dial. */
async function run(...argv: string[]): Promise<Outcome> {
  const outcome: Outcome = { code: -1, out: "", err: "" };
  const real = { out: process.stdout.write, err: process.stderr.write };
  const keep = (stream: "out" | "err") => (text: string | Uint8Array): boolean => {
    outcome[stream] += String(text);
    return true;
  };
  process.stdout.write = keep("out") as typeof process.stdout.write;
  process.stderr.write = keep("err") as typeof process.stderr.write;
  try {
    outcome.code = await runProgram({
      ...{ program: AGENT_PROGRAM, version: "1.2.3", argv, explain: explainAgentError },
      commands: { ...AGENT_COMMANDS, run: () => Promise.resolve(0) },
    });
  } finally {
    process.stdout.write = real.out;
    process.stderr.write = real.err;
  }
  return outcome;
}

test("every command of the program does something, and shows its help", async () => {
  const names = AGENT_PROGRAM.commands.map(({ name }) => name);
  expect(names).toEqual(["run", "audit", "doctor"]);
  for (const name of names) {
    if (name !== "run") expect(typeof AGENT_COMMANDS[name]).toBe("function");
    const { code, out } = await run(name, "--help");
    expect([name, code]).toEqual([name, 0]);
    expect(out).toContain("netwall-agent");
  }
});

test("audit tells the state by its exit code, and names a socket that is open", async () => {
  const server = net.createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  const { code, out, err } = await run("audit", "--json");
  const report = JSON.parse(out) as { state: string; listeners: { port: number; reach: string }[] };
  expect(["whole", "broken", "unknown"]).toContain(report.state);
  expect(code).toBe(report.state === "whole" ? 0 : 1);
  expect(err).toBe("");
  if (process.platform !== "linux") return;
  expect(report.listeners.find((each) => each.port === port)).toMatchObject({ reach: "loopback" });
});

test("audit fails when a socket can be reached from outside", async () => {
  const server = net.createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const { port } = server.address() as net.AddressInfo;
  const { code, out } = await run("audit", "--json");
  const report = JSON.parse(out) as { state: string; listeners: { port: number; reach: string }[] };
  const own = report.listeners.find((each) => each.port === port);
  // Without a network nobody can reach it, and the wall may be whole all the same.
  expect(code).toBe(report.state === "whole" ? 0 : 1);
  if (own?.reach === "outside") expect([report.state, code]).toEqual(["broken", 1]);
});

test("audit takes no settings of a run, and a wrong flag is a wrong use", async () => {
  for (const argv of [["audit", "--gateway", "wss://a"], ["audit", "--jsn"], ["doctor", "--nothing"]]) {
    const { code, out, err } = await run(...argv);
    expect([argv, code, out]).toEqual([argv, 2, ""]);
    expect(err).toContain("--help");
  }
});

test("doctor fails when the settings are wrong, and says which", async () => {
  const { code, out } = await run(
    "doctor",
    "--gateway",
    "http://edge.test",
    "--token",
    "t",
    "--serve",
    "web=http://127.0.0.1:1",
  );
  expect(code).toBe(1);
  expect(out).toContain("gateway");
});

test("doctor fails when there is no gateway at the address", async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  const { code, out } = await run(
    ...["doctor", "--json", "--gateway", `ws://127.0.0.1:${port}`, "--token", "secret-token"],
    ...["--serve", `web=http://127.0.0.1:${port}`],
  );
  expect(code).toBe(1);
  const { checks } = JSON.parse(out) as { checks: { name: string; status: string }[] };
  expect(checks.find(({ name }) => name === `connect 127.0.0.1:${port}`)?.status).toBe("fail");
  expect(out).not.toContain("secret-token");
});

test("doors that the token does not allow are told once at the start, with the command that mints a better one", () => {
  const seconds = Math.floor(Date.now() / 1000);
  const tokenOf = (claims: Record<string, unknown>): string => {
    const all = {
      sub: "web-1",
      serve: ["web"],
      reach: [],
      egress: false,
      iat: seconds,
      exp: seconds + 60,
      ...claims,
    };
    return `e30.${btoa(JSON.stringify(all)).replace(/=+$/, "")}.c2ln`;
  };
  const told = (token: string, doors: { reach?: string[]; egress?: string }): Record<string, unknown>[] => {
    const flags = { gateway: ["ws://127.0.0.1:1"], token, serve: ["web=http://127.0.0.1:1"], ...doors };
    const { log, lines } = keptLog();
    warnOfDoors(loadConfig({ schema: agentConfig, flags, env: {} }), token, log);
    return lines;
  };
  const doors = { reach: ["db=127.0.0.1:0", "cache=127.0.0.1:0", "db=127.0.0.1:0"], egress: "127.0.0.1:0" };
  expect(told(tokenOf({ reach: ["cache"] }), doors)).toMatchObject([{
    level: "warn",
    lacks: "--reach db, --egress",
    cure:
      "Mint a new one on the gateway: netwall-gateway token --name web-1 --serve web --reach db --reach cache --egress",
  }]);
  expect(told(tokenOf({ reach: ["db"], serve: [] }), { reach: ["db=127.0.0.1:0"] })).toEqual([]);
  expect(told(tokenOf({ reach: ["*"], egress: true }), doors)).toEqual([]);
  expect(told(tokenOf({}), {})).toEqual([]);
  // Whether it is one at all the gateway says.
  expect(told("no-token", doors)).toEqual([]);
});

test("what a user can mend has a message and a code, and a bug has none", () => {
  const known: readonly (readonly [unknown, number])[] = [
    [new ConfigError([{ path: "gateway", message: "no gateway is given" }] as never), 2],
    [new StartError("Cannot read x"), 2],
    [new ListenFault("Cannot listen"), 1],
    [new LinkError("The gateway refused the agent", true), 3],
  ];
  for (const [error, code] of known) {
    const explained = explainAgentError(error);
    expect(Number(explained?.code)).toBe(code);
    expect(explained!.message.length).toBeGreaterThan(0);
  }
  for (
    const bug of [
      new TypeError("x is not a function"),
      new Error("StartError"),
      { name: "StartError" },
      undefined,
    ]
  ) {
    expect(explainAgentError(bug)).toBeUndefined();
  }
});
