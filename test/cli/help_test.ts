/**
 * The help: complete, and no wider than the terminal.
 *
 * @module
 */
import { expect, test } from "bun:test";
import type { CommandSpec, ProgramSpec } from "../../lib/cli/arguments.ts";
import { EXIT } from "../../lib/cli/exit.ts";
import { renderHelp } from "../../lib/cli/help.ts";
import { agentConfig } from "../../lib/config/agent_config.ts";
import { gatewayConfig, quickstartConfig } from "../../lib/config/gateway_config.ts";
import { settingsOf } from "../../lib/settings.ts";

const SERVE: CommandSpec = {
  name: "serve",
  summary: "Run the gateway",
  options: gatewayConfig,
  examples: ["netwall-gateway --http :8080"],
};
const QUICKSTART: CommandSpec = {
  name: "quickstart",
  summary: "Try it out",
  options: quickstartConfig,
  examples: [],
};
const PROGRAM: ProgramSpec = {
  name: "netwall-gateway",
  summary: "Take agents in and let visitors through",
  commands: [SERVE, QUICKSTART],
  defaultCommand: SERVE,
};

test("renderHelp() of the default command shows summary, usage, every flag, the commands and the examples", () => {
  const text = renderHelp(PROGRAM, SERVE);
  expect(text).toMatch(
    /^Take agents in and let visitors through\n\nUsage: netwall-gateway \[serve\] \[OPTION\]…\n/,
  );
  const settings = settingsOf(gatewayConfig);
  expect(settings.length).toBeGreaterThan(20);
  for (const { flag, environment, description } of settings) {
    expect(text).toContain(`--${flag}`);
    expect(text.replace(/\s+/g, " ")).toContain(`[${environment}]`);
    expect(description.length).toBeGreaterThan(0);
    expect(text.replace(/\s+/g, " ")).toContain(description);
  }
  expect(text).toContain("--help");
  expect(text).toContain("  quickstart");
  expect(text).toContain("Examples:\n  netwall-gateway --http :8080\n");
  expect(text.replace(/\s+/g, " ")).toContain(
    "--http ADDR Address for HTTP from visitors, or off (default 0.0.0.0:8080) [NETWALL_HTTP]",
  );
  expect(text).toContain("--cert FILE…");
  expect(text.replace(/\s+/g, " ")).toContain("--redirect-https Answer");
});

test("renderHelp() shows every flag of the agent, with its value, its environment name and what it means", () => {
  const run: CommandSpec = { name: "run", summary: "Run the agent", options: agentConfig, examples: [] };
  const program = { name: "netwall-agent", summary: "Serve", commands: [run], defaultCommand: run };
  const text = renderHelp(program, run).replace(/\s+/g, " ");
  const settings = settingsOf(agentConfig);
  expect(settings.length).toBeGreaterThan(25);
  for (const { flag, environment, description } of settings) {
    expect(text).toContain(` --${flag} `);
    expect(text).toContain(description);
    expect(text).toContain(`[${environment}]`);
  }
  for (
    const shown of [
      "--serve SERVICE=TARGET…",
      "--proxy-protocol SERVICE=v1|v2…",
      "--reach SERVICE=LISTEN…",
      "--egress LISTEN ",
      "--require-wall Serve",
      "--seal Dial",
    ]
  ) expect(text).toContain(shown);
  const gateway = renderHelp(PROGRAM, SERVE).replace(/\s+/g, " ");
  for (const shown of ["--sni ADDR ", "--tcp ADDR=SERVICE…", "--allow-egress HOST:PORT…"]) {
    expect(gateway).toContain(shown);
  }
});

test("renderHelp() of another command shows its arguments and no list of commands", () => {
  const text = renderHelp(PROGRAM, QUICKSTART);
  expect(text).toContain("Usage: netwall-gateway quickstart [OPTION]… [TARGET]\n");
  expect(text).toMatch(/Arguments:\n {2}TARGET +What to publish/);
  expect(text).not.toContain("Commands:");
  expect(text).not.toContain("NETWALL_TARGET");
});

test("renderHelp() breaks lines at the width it is given, but never a word", () => {
  let checked = 0;
  for (const columns of [-1, 0, 40, 60, 80, 120, 1000, NaN]) {
    const width = Math.min(120, Math.max(40, Number.isNaN(columns) ? 80 : columns));
    for (const line of renderHelp(PROGRAM, SERVE, columns).split("\n")) {
      checked += 1;
      const isText = line.startsWith("      ");
      if (isText && line.trim().includes(" ")) expect(line.length).toBeLessThanOrEqual(width);
      expect(line).toBe(line.trimEnd());
    }
  }
  expect(checked).toBeGreaterThan(300);
});

test("the exit codes are what scripts rely on", () => {
  expect(EXIT).toEqual({ stopped: 0, failed: 1, usage: 2, refused: 3 });
});
