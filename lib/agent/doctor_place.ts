/**
 * The place the agent runs in: its environment, its local doors, its sandbox, and who else listens here.
 *
 * What the sandbox and the audit find is told by functions that are given: this file only says what it means.
 *
 * @module
 */
import { lstatSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { isLoopback } from "../link/proxy.ts";
import { environmentFaults } from "../runtime/hardening.ts";
import type { SealOutcome } from "../seal/seal_options.ts";
import { DENO_FAULT } from "../seal/wall.ts";
import { type CheckResult, fail, type Finding, ok, reasonOf, resultOf, runCheck, warn } from "./check.ts";
import { isDenied, lackingFlags, NOT_CAPABLE } from "./denied.ts";
import { connectFault, connectTo, type Endpoint, endpointText } from "./doctor_connect.ts";

/** A local listener that the agent is to open, as written: `127.0.0.1:PORT` or `unix:PATH`. */
export interface DoorText {
  /** `reach db` or `egress`. */
  readonly name: string;
  readonly listen: string;
}

/** A socket that listens in this network namespace. */
export interface ListenerFact {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
  /** `outside`: who is outside can reach it. */
  readonly reach: string;
  readonly owner: { readonly kind: string; readonly pid?: number; readonly name?: string };
}

/** What the audit of the wall found. */
export interface WallFact {
  readonly state: "whole" | "broken" | "unknown";
  readonly listeners: readonly ListenerFact[];
  /** What could not be read. */
  readonly faults: readonly string[];
}

/** What to do where the permissions of Deno hide `/proc`. */
const PROC_CURE = "Use Bun, or Deno with --allow-all, where the audit or --require-wall is wanted";

/** Listeners that are shown. */
const LISTENERS_SHOWN = 4;

/** Whether variables are set that open a process made by Bun to others, and whether /proc is there. */
export function checkEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  isExecutable: boolean,
  proc = "/proc",
): CheckResult[] {
  const names = environmentFaults(env);
  const found = `${names.join(", ")} would open this process to others`;
  // From source they are what the developer wants.
  const variables = names.length === 0
    ? ok("nothing in it opens this process to others")
    : (isExecutable ? fail : warn)(found, `Unset ${names.join(", ")}`);
  return [resultOf("environment", variables), resultOf("proc", judgeProc(proc))];
}

function judgeProc(proc: string): Finding {
  try {
    statSync(`${proc}/self/net/tcp`);
    return ok(`${proc} is mounted`);
  } catch (error) {
    if (isDenied(error)) return warn(`Deno runs without --allow-all and cannot read ${proc}`, PROC_CURE);
    const cure = `Mount it: netwall-agent audit and --require-wall read ${proc}/self/net`;
    return warn(`${proc} is not there (${reasonOf(error)})`, cure);
  }
}

/** Whether the agent could open a door: it is loopback or a unix socket, and nobody holds it. */
export async function checkDoor(
  { name, listen }: DoorText,
  wall: WallFact | undefined,
  timeoutMs: number,
): Promise<CheckResult> {
  const { result } = await runCheck(`${name} on ${listen}`, timeoutMs, async (time) => {
    const endpoint = readDoor(listen);
    if (endpoint === undefined) {
      return { finding: fail("this is no address to listen on", "Write 127.0.0.1:PORT or unix:PATH") };
    }
    if ("path" in endpoint) {
      // The file of an agent that was killed stays behind, and is no obstacle: only one that answers is held.
      const outcome = await connectTo(endpoint, time);
      if ("error" in outcome) {
        if (outcome.error === NOT_CAPABLE) {
          return { finding: connectFault(NOT_CAPABLE, endpoint, timeoutMs, name) };
        }
        if (lstatSync(endpoint.path, { throwIfNoEntry: false })?.isSocket() === false) {
          return { finding: fail("what is there is no socket", "Choose another path") };
        }
        return {
          finding: outcome.error === "ENOTSOCK" ? fail("a file is in its place", "Remove it") : ok("free"),
        };
      }
      outcome.socket.destroy();
      return { finding: fail("another process listens there", HELD_CURE) };
    }
    if (!isLoopback(endpoint.host)) {
      const cure = `Write 127.0.0.1:${endpoint.port}: who is outside must not reach it`;
      return { finding: fail("it is no loopback address", cure) };
    }
    if (lackingFlags(endpoint) !== undefined) {
      return { finding: connectFault(NOT_CAPABLE, endpoint, timeoutMs, name) };
    }
    const code = await tryListen(endpoint.host, endpoint.port);
    return { finding: code === "" ? ok("free") : listenFault(code, endpoint, wall) };
  });
  return result;
}

const HELD_CURE = "Stop it or choose another address; an agent that runs already may be what holds it";

function listenFault(code: string, endpoint: Endpoint, wall: WallFact | undefined): Finding {
  if (code === "EADDRINUSE") {
    const port = "port" in endpoint ? endpoint.port : 0;
    const holder = wall?.listeners.find((it) => it.port === port && it.protocol.startsWith("tcp"))?.owner;
    const who = holder?.name === undefined ? "another process" : `${holder.name} (${holder.pid})`;
    // Asking beside an agent at work is what most will do.
    if (holder?.name?.startsWith("netwall-agent")) return ok(`held by an agent that runs already, ${who}`);
    return fail(`${who} listens there (${code})`, HELD_CURE);
  }
  if (code === "EACCES" || code === "EPERM") {
    return fail(
      `it may not be opened (${code})`,
      "port" in endpoint && endpoint.port > 1023
        ? "Allow listening in the seccomp profile or sandbox"
        : "Choose a port of 1024 or more, or allow it in the sandbox",
    );
  }
  return fail(`it cannot be opened (${code})`, "Choose another address");
}

/** Listens and stops at once; gives the error code, or nothing. */
function tryListen(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(reasonOf(error)));
    server.listen({ host, port, backlog: 1 }, () => server.close(() => resolve("")));
  });
}

function readDoor(text: string): Endpoint | undefined {
  const path = /^unix:(.+)$/.exec(text)?.[1];
  if (path !== undefined) return { path };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  return host === undefined || port === undefined || Number(port) > 65_535
    ? undefined
    : { host, port: Number(port) };
}

/** What the sandbox is or would be, against what is wanted. */
export function judgeSeal(outcome: SealOutcome, wanted: "off" | "on" | "require"): Finding {
  const asked = wanted === "off" ? "not asked for; " : "";
  const isWhole = true;
  if (outcome.kind === "sealed") return { ...ok(`${asked}--seal holds here: ${outcome.detail}`), isWhole };
  const detail = `${asked}--seal does not hold here: ${outcome.reason}`;
  if (wanted === "off") return { ...ok(detail), isWhole };
  const cure = "Change what is in its way, or leave --seal out";
  return { ...(wanted === "require" ? fail(detail, cure) : warn(detail, cure)), isWhole };
}

/** Who can be reached from outside, against what is wanted. */
export function judgeWall({ state, listeners, faults }: WallFact, required: boolean): Finding {
  const bad = required ? fail : warn;
  const exposed = listeners.filter((it) => it.reach === "outside");
  if (state === "broken") {
    const shown = exposed.slice(0, LISTENERS_SHOWN).map(({ protocol, address, port, owner }) => {
      const who = owner.kind === "agent" ? " this agent" : owner.name === undefined ? "" : ` ${owner.name}`;
      return `${protocol} ${endpointText({ host: address, port })}${who}`;
    });
    const more = exposed.length - shown.length;
    const rest = more > 0 ? ` and ${more} more` : "";
    return bad(
      `broken, from outside can be reached: ${shown.join(", ")}${rest}`,
      "Bind it to 127.0.0.1 or stop it",
    );
  }
  if (state === "unknown") {
    if (faults[0] === DENO_FAULT) return bad(DENO_FAULT, PROC_CURE);
    return bad(`unknown: ${faults.slice(0, LISTENERS_SHOWN).join("; ")}`, "Mount /proc and make it readable");
  }
  return ok("whole: nothing can be reached from outside");
}
