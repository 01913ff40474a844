/**
 * Landlock: system calls by which a thread gives up TCP ports and unix sockets, never to have them again.
 *
 * A thread that restricts itself restricts what it starts from then on: threads, children, and the program that
 * takes its place through `execve`. Threads that run already stay free, and a JavaScript runtime has some. So
 * whoever wants all of a process inside restricts the main thread and then starts the same program anew in the same
 * process; `lib/seal` does that. Root is held as everybody else is.
 *
 * What the rules hold is TCP ports, not addresses: who may dial port 443 may dial it anywhere. What they do not
 * hold, measured on Linux 6.18 (Landlock 7): UDP; MPTCP, which is another protocol; TCP Fast Open, which dials by
 * sending; `listen` on a socket that was never bound, for which the kernel picks a port; dialling unix sockets that
 * have a path. Of these no API of Bun reaches more than UDP and unix sockets, but code that may use `bun:ffi`, or
 * start a program, reaches them all.
 *
 * Source: landlock(7), Linux Documentation/userspace-api/landlock.rst, include/uapi/linux/landlock.h.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type CallName, errorCode, type SystemCalls } from "./system_calls.ts";

/** Source: include/uapi/linux/landlock.h. */
const CREATE_RULESET_VERSION = 1;
const RULE_PATH_BENEATH = 1;
const RULE_NET_PORT = 2;
const ACCESS_FS_MAKE_SOCK = 1n << 9n;
const ACCESS_FS_REFER = 1n << 13n;
const ACCESS_NET_BIND_TCP = 1n << 0n;
const ACCESS_NET_CONNECT_TCP = 1n << 1n;
const SCOPE_ABSTRACT_UNIX_SOCKET = 1n << 0n;
const SCOPE_SIGNAL = 1n << 1n;

/** The first version with ports, Linux 6.7. */
export const LANDLOCK_VERSION_MIN = 4;
/** The first version with scopes, Linux 6.12. An older kernel would refuse the longer structure. */
export const LANDLOCK_VERSION_SCOPES = 6;
const RULESET_BYTES = 16;
const RULESET_BYTES_SCOPES = 24;

const PR_SET_NO_NEW_PRIVS = 38;
const AT_FDCWD = -100;
const O_PATH_CLOEXEC = 0o12000000;
const AF_INET = 2;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const PORT_MAX = 65_535;

/** What a thread keeps. All else of its kind is denied. */
export interface LandlockRules {
  /** TCP ports it may dial, 1 to 65535. */
  readonly connectPorts: readonly number[];
  /**
   * TCP ports it may bind, 0 to 65535. With 0 it may ask the kernel for a port as often as it likes, so that it can
   * listen on any number of ports of the range that the kernel picks from.
   */
  readonly bindPorts: readonly number[];
  /** Folders in which, and below which, it may make unix sockets. */
  readonly socketFolders: readonly string[];
}

/** What came of restricting. `refused` names the call that failed and its error, such as `EPERM`. */
export type RestrictOutcome = { readonly kind: "restricted"; readonly version: number } | {
  readonly kind: "refused";
  readonly step: CallName;
  readonly code: string;
  /** What the call was for, when it is made more than once: a port or a folder. */
  readonly subject: string;
};

/**
 * The version of Landlock that the kernel speaks, or minus the number of an error: ENOSYS where it was not built in,
 * EOPNOTSUPP where it was switched off at boot, EPERM mostly from a seccomp filter.
 */
export function landlockVersion(calls: SystemCalls): number {
  return calls.call("landlock_create_ruleset", 0, 0, CREATE_RULESET_VERSION);
}

/**
 * Restricts this thread, for good, and all that it starts from now on. It can also gain no privileges any more, by
 * a set-user-id program for example.
 *
 * From version 6 on it also sends no signal to processes outside, and dials no abstract unix socket of theirs.
 *
 * @param version From `landlockVersion`, at least `LANDLOCK_VERSION_MIN`.
 * @returns `refused` when a call failed. Nothing is restricted then, but no privileges may be gained any more when
 *   it was the last call.
 * @throws {RangeError} A port or a version that cannot be.
 */
export function restrictThread(calls: SystemCalls, version: number, rules: LandlockRules): RestrictOutcome {
  if (version < LANDLOCK_VERSION_MIN) {
    throw new RangeError(`Cannot restrict: version ${version} has no ports`);
  }
  for (const port of rules.connectPorts) checkPort(port, 1);
  for (const port of rules.bindPorts) checkPort(port, 0);

  const scopes = version >= LANDLOCK_VERSION_SCOPES;
  const attributes = words(
    // Where files are held at all, moving one to another folder is denied unless it is allowed in so many words.
    ACCESS_FS_MAKE_SOCK | ACCESS_FS_REFER,
    ACCESS_NET_BIND_TCP | ACCESS_NET_CONNECT_TCP,
    scopes ? SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL : 0n,
  );
  const bytes = scopes ? RULESET_BYTES_SCOPES : RULESET_BYTES;
  const ruleset = calls.call("landlock_create_ruleset", attributes, bytes, 0);
  if (ruleset < 0) return refused("landlock_create_ruleset", ruleset);
  try {
    const fault = addRules(calls, ruleset, rules);
    if (fault) return fault;
    const privileges = calls.call("prctl", PR_SET_NO_NEW_PRIVS, 1);
    if (privileges < 0) return refused("prctl", privileges);
    const restricted = calls.call("landlock_restrict_self", ruleset, 0);
    return restricted < 0 ? refused("landlock_restrict_self", restricted) : { kind: "restricted", version };
  } finally {
    calls.call("close", ruleset);
  }
}

function addRules(calls: SystemCalls, ruleset: number, rules: LandlockRules): RestrictOutcome | undefined {
  const ports: [bigint, readonly number[]][] = [
    [ACCESS_NET_CONNECT_TCP, rules.connectPorts],
    [ACCESS_NET_BIND_TCP, rules.bindPorts],
  ];
  for (const [access, list] of ports) {
    for (const port of new Set(list)) {
      const result = calls.call(
        "landlock_add_rule",
        ...[ruleset, RULE_NET_PORT, words(access, BigInt(port)), 0],
      );
      if (result < 0) return refused("landlock_add_rule", result, `port ${port}`);
    }
  }
  const folders: [bigint, string][] = [[ACCESS_FS_REFER, "/"]];
  for (const folder of new Set(rules.socketFolders)) folders.push([ACCESS_FS_MAKE_SOCK, folder]);
  for (const [access, folder] of folders) {
    const opened = calls.call("openat", AT_FDCWD, Buffer.from(`${folder}\0`), O_PATH_CLOEXEC, 0);
    if (opened < 0) return refused("openat", opened, folder);
    // The structure is packed: the folder stands right behind the rights.
    const rule = Buffer.alloc(12);
    rule.writeBigUInt64LE(access, 0);
    rule.writeInt32LE(opened, 8);
    const result = calls.call("landlock_add_rule", ruleset, RULE_PATH_BENEATH, rule, 0);
    calls.call("close", opened);
    if (result < 0) return refused("landlock_add_rule", result, folder);
  }
  return undefined;
}

/**
 * Tries what must be denied, in a way that reaches nobody: binds a port without listening, and dials a multicast
 * address, which TCP cannot. A thread that is held gets EACCES for both, before the kernel looks any further.
 *
 * @param port One that no rule allows. High ports are for everybody, so that EACCES has no other cause.
 * @returns Names of the errors; empty for a call that went through. A free thread gets ENETUNREACH for `connect`.
 */
export function probeDenied(calls: SystemCalls, port: number): { connect: string; bind: string } {
  checkPort(port, 1);
  const attempt = (name: "connect" | "bind", address: readonly number[]): string => {
    const socket = calls.call("socket", AF_INET, SOCK_STREAM_CLOEXEC, 0);
    if (socket < 0) return errorCode(socket);
    const where = Buffer.alloc(16);
    where.writeUInt16LE(AF_INET, 0);
    where.writeUInt16BE(port, 2);
    where.set(address, 4);
    const result = calls.call(name, socket, where, where.length);
    calls.call("close", socket);
    return result < 0 ? errorCode(result) : "";
  };
  return { connect: attempt("connect", [224, 0, 0, 1]), bind: attempt("bind", [127, 0, 0, 1]) };
}

function checkPort(port: number, portMin: number): void {
  if (Number.isInteger(port) && port >= portMin && port <= PORT_MAX) return;
  throw new RangeError(`Cannot restrict: ${port} is no TCP port`);
}

function refused(step: CallName, result: number, subject = ""): RestrictOutcome & { kind: "refused" } {
  return { kind: "refused", step, code: errorCode(result), subject };
}

/** 64-bit words in the order of the machine, as a structure of them lies in memory. */
function words(...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(new BigUint64Array(values).buffer);
}
