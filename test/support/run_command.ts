/**
 * Runs a command of netwall-gateway in this process, and keeps what it prints.
 *
 * @module
 */
import process from "node:process";
import { runProgram } from "../../lib/cli/program.ts";
import { COMMANDS, explainGatewayError, GATEWAY_PROGRAM } from "../../lib/gateway/program.ts";

export interface Outcome {
  code: number;
  out: string;
  err: string;
}

/** Runs it to its end. `env` holds for this run alone; other settings of netwall are not there. */
export async function runCommand(
  argv: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const outcome: Outcome = { code: -1, out: "", err: "" };
  const real = { out: process.stdout.write, err: process.stderr.write };
  const before = Object.entries(process.env).filter(([name]) => name.startsWith("NETWALL_"));
  for (const [name] of before) delete process.env[name];
  Object.assign(process.env, env);
  const keep =
    (stream: "out" | "err") => (text: string | Uint8Array, then?: (error?: Error) => void): boolean => {
      outcome[stream] += String(text);
      then?.();
      return true;
    };
  // A program runs once in its process, and each run here adds its own listeners.
  for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(0);
  process.stdout.write = keep("out") as typeof process.stdout.write;
  process.stderr.write = keep("err") as typeof process.stderr.write;
  try {
    outcome.code = await runProgram({
      program: GATEWAY_PROGRAM,
      version: "0 (test)",
      argv,
      commands: COMMANDS,
      explain: explainGatewayError,
    });
  } finally {
    process.stdout.write = real.out;
    process.stderr.write = real.err;
    for (const name of Object.keys(env)) delete process.env[name];
    for (const [name, value] of before) process.env[name] = value;
  }
  return outcome;
}
