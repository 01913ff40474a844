/**
 * `--seal`: the agent locks itself in before it serves anything.
 *
 * On Bun under Linux it restricts its main thread with Landlock and then takes its own place, with the same
 * arguments, environment and folder, so that every thread there ever will be is inside. On Deno the permissions it
 * was started with are the lock, and it says how to start it when they are too wide.
 *
 * What is held: TCP may be dialled only on the ports of gateways, proxies and targets; TCP may be listened on, and
 * unix sockets made, only where the agent's own doors are. What is not held: the addresses behind these ports, UDP
 * (names must be resolved), unix sockets that others made, files, programs, and the kinds of sockets that
 * lib/runtime/landlock.ts lists. A name server that answers over TCP is out of reach, which matters for answers beyond
 * a datagram. What a child or an app does is held alike.
 *
 * Call it first, right after the settings are read: all that was opened is lost in the second start, also files that
 * the caller passed as descriptors beyond standard error (`--token-file <(…)` in a shell).
 *
 * @module
 */
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, resolve as resolvePath } from "node:path";
import process from "node:process";
import {
  LANDLOCK_VERSION_MIN,
  LANDLOCK_VERSION_SCOPES,
  landlockVersion,
  probeDenied,
  restrictThread,
} from "../runtime/landlock.ts";
import { openPermissions, type Permissions } from "../runtime/permissions.ts";
import { errorCode, openSystemCalls, type SystemCalls } from "../runtime/system_calls.ts";
import { judgePermissions } from "./deno_seal.ts";
import type { SealOptions, SealOutcome, TcpEndpoint } from "./seal_options.ts";

/** The process and the machine it runs on; tests put others in their place. */
export interface SealMachine {
  /** Deno's permissions; undefined on Bun. */
  readonly permissions: Permissions | undefined;
  /** The system calls, or why there are none. */
  readonly calls: SystemCalls | string;
  /** The environment. The marker of the second start is taken out of it. */
  readonly env: Record<string, string | undefined>;
  /** What tells this process from every other since boot, and stays the same when it takes its own place. */
  identity(): string;
  /** Whether the kernel says that this process can gain no privileges any more. */
  noNewPrivileges(): boolean;
  /**
   * Puts the same program, with the same arguments, in the place of this one.
   *
   * @throws {Error} When the kernel refuses. It does not return otherwise.
   */
  startAgain(env: Readonly<Record<string, string | undefined>>): never;
}

/**
 * Tells the second start that the first one came this far. Whoever sets it by hand gains nothing: what it says is
 * tried out. It does not begin with `NETWALL_`, as that would make it a setting.
 */
const MARKER = "_NETWALL_SEAL";

/** The last port, which every user may bind on every machine, whatever `ip_unprivileged_port_start` says. */
const PROBE_PORT_MAX = 65_535;

/**
 * Locks this process in.
 *
 * On Bun the first call does not return when all goes well: the program starts again from its first line, and the
 * call in that second run gives `sealed`. It says so only after it tried two things that must fail.
 *
 * `unavailable` does not always mean that nothing happened: when the second start is refused, the main thread is
 * restricted and other threads are not. The agent can go on, as what it needs is allowed.
 *
 * @throws {RangeError} A port that cannot be.
 */
export function seal(options: SealOptions, machine: SealMachine = thisMachine()): SealOutcome {
  if (machine.permissions !== undefined) return judgePermissions(options, machine.permissions);
  const { calls } = machine;
  const marker = machine.env[MARKER];
  delete machine.env[MARKER];
  if (typeof calls === "string") return unavailable(calls);
  const version = landlockVersion(calls);
  if (version < LANDLOCK_VERSION_MIN) return unavailable(versionFault(version));

  const identity = machine.identity();
  // A marker of another process was inherited, or is a lie: then this one is not sealed yet.
  if (marker === identity) return verify(options, version, machine, calls);

  const outcome = restrictThread(calls, version, {
    connectPorts: options.connect.map(({ port }) => port),
    bindPorts: options.listen.map(({ port }) => port),
    socketFolders: socketFolders(options),
  });
  if (outcome.kind === "refused") {
    const { step, subject, code } = outcome;
    return unavailable(`the kernel refused ${step}${subject === "" ? "" : ` for ${subject}`}: ${code}`);
  }
  try {
    machine.startAgain({ ...machine.env, [MARKER]: identity });
  } catch (error) {
    return unavailable(`the agent cannot start again inside: ${(error as Error).message}`);
  }
}

/**
 * Whether `seal` could lock a process in here. Changes nothing.
 *
 * @returns `sealed` with what would be held, or why it is not to be had.
 */
export function sealForecast(options: SealOptions, machine: SealMachine = thisMachine()): SealOutcome {
  if (machine.permissions !== undefined) return judgePermissions(options, machine.permissions);
  if (typeof machine.calls === "string") return unavailable(machine.calls);
  const version = landlockVersion(machine.calls);
  if (version < LANDLOCK_VERSION_MIN) return unavailable(versionFault(version));
  return { kind: "sealed", detail: describe(options, version) };
}

/** In the second start: tries what must fail, and believes nothing else. */
function verify(
  options: SealOptions,
  version: number,
  machine: SealMachine,
  calls: SystemCalls,
): SealOutcome {
  const allowed = new Set([...options.connect, ...options.listen].map(({ port }) => port));
  let port = PROBE_PORT_MAX;
  while (allowed.has(port)) port -= 1;
  const { connect, bind } = probeDenied(calls, port);
  const held = machine.noNewPrivileges();
  if (connect === "EACCES" && bind === "EACCES" && held) {
    return { kind: "sealed", detail: describe(options, version) };
  }
  return unavailable(
    `the rules were set but do not hold: dialling port ${port} gave ${connect || "no error"}, ` +
      `binding it ${bind || "no error"}, and privileges can${held ? "not" : ""} be gained`,
  );
}

function socketFolders(options: SealOptions): string[] {
  return [...new Set(options.listenUnix.map((path) => dirname(resolvePath(path))))];
}

function describe(options: SealOptions, version: number): string {
  const ports = (endpoints: readonly TcpEndpoint[]): string => {
    const sorted = [...new Set(endpoints.map(({ port }) => port))].sort((a, b) => a - b);
    return sorted.map((port) => port === 0 ? "any that the kernel picks" : port).join(", ") || "none";
  };
  const folders = socketFolders(options).join(", ") || "no folder";
  const scopes = version >= LANDLOCK_VERSION_SCOPES
    ? "; abstract unix sockets and signals of other programs are out of reach"
    : "";
  return `Landlock ${version}: dials TCP ports ${ports(options.connect)}; listens on TCP ports ` +
    `${ports(options.listen)}; makes unix sockets in ${folders}${scopes}`;
}

function versionFault(version: number): string {
  const code = version < 0 ? errorCode(version) : "";
  if (version >= 0) {
    return `the kernel has Landlock ${version}, which cannot hold ports: Linux 6.7 or newer can`;
  }
  if (code === "ENOSYS") return "the kernel has no Landlock: Linux 6.7 or newer can have it";
  if (code === "EOPNOTSUPP" || code === "ENOTSUP") {
    return "Landlock is switched off: add landlock to lsm= on the command line of the kernel";
  }
  if (code === "EPERM" || code === "EACCES") {
    return `a seccomp filter denies Landlock (${code}): allow landlock_create_ruleset, landlock_add_rule and ` +
      "landlock_restrict_self in it";
  }
  return `the kernel does not tell its version of Landlock: ${code}`;
}

function unavailable(reason: string): SealOutcome {
  return { kind: "unavailable", reason };
}

/** The process as it is. */
function thisMachine(): SealMachine {
  const permissions = openPermissions();
  return {
    permissions,
    calls: permissions === undefined ? openSystemCalls() : "this runtime has permissions instead",
    env: process.env,
    identity: () => {
      // The name of the program stands in parentheses and may hold any character, so count from the last one.
      const fields = readFileSync("/proc/self/stat", "utf8").replace(/^.*\) /s, "").split(" ");
      // The 22nd field of all is the start, in clock ticks since boot.
      return `${process.pid}.${fields[19]}`;
    },
    noNewPrivileges: () => /^NoNewPrivs:\s*1$/m.test(readFileSync("/proc/self/status", "utf8")),
    startAgain: (env) => {
      // As it was called: `process.argv` has no options of the runtime, and in an executable a name made up.
      const argv = readFileSync("/proc/self/cmdline", "utf8").split("\0").slice(0, -1);
      const path = readlinkSync("/proc/self/exe");
      // The path names the process in `ps`; where it leads nowhere, a program replaced or unlinked, the link works.
      const file = existsSync(path) ? path : "/proc/self/exe";
      const { execve } = process as { execve?: (file: string, argv: string[], env: object) => never };
      if (execve === undefined) {
        throw new Error("this runtime cannot start itself again: use Bun 1.4 or newer");
      }
      return execve.call(process, file, argv, env);
    },
  };
}
