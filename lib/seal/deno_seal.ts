/**
 * Whether the permissions of Deno lock an agent in, and the command that would.
 *
 * Narrow means: `net` not for every host, no `run`, no `ffi`, and `write` not for every path. Nothing can be given up
 * from inside in a way that leaves the rest, so a start with wide permissions is only told how to do better. Deno does
 * not list what it grants: it is asked for what nobody needs, one by one, so a grant that is wide in a way that is not
 * asked for (one program, one folder, a part of the addresses) is not seen. The line that is printed has none of these.
 *
 * What is held: dialling and listening, both by host and port as written, and unix sockets by path. A port of a target
 * can therefore also be listened on, when the target is not there.
 *
 * @module
 */
import { resolve as resolvePath } from "node:path";
import process from "node:process";
import { isExecutable } from "../runtime/hardening.ts";
import type { Permission, Permissions } from "../runtime/permissions.ts";
import type { SealOptions, SealOutcome, TcpEndpoint } from "./seal_options.ts";

/** One address of each part of the Internet that a range of addresses is likely to hold, at a port that nobody uses. */
const ADDRESSES = [
  ...[
    "1.0.0.1",
    "10.255.255.254",
    "64.0.0.1",
    "100.64.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
  ],
  ...["192.0.2.1", "192.168.255.254", "200.0.0.1", "224.0.0.1"],
  ...["[::2]", "[2001:db8::1]", "[2600::1]", "[fd00::1]", "[fe80::1]"],
];

/** Faults that a message names; more are counted. */
const FAULTS_SHOWN = 3;

type Grant = readonly [flag: string, permission: Permission];

/** What must not be granted. Made for each look: the folder of the process may be gone, which is no reason to fail. */
const tooWide = (): readonly Grant[] => [
  ["--allow-net without hosts", { name: "net" }],
  ...ADDRESSES.map((address) =>
    [`--allow-net for every address around ${address}`, { name: "net", host: `${address}:9` }] as const
  ),
  ["--allow-run", { name: "run" }],
  ...["/bin/sh", "sh", "bash", "deno", process.execPath].map((command) =>
    [`--allow-run=${command}`, { name: "run", command }] as const
  ),
  ["--allow-ffi", { name: "ffi" }],
  ...["/usr/lib", "/lib"].map((path) => [`--allow-ffi=${path}`, { name: "ffi", path }] as const),
  ["--allow-write without paths", { name: "write" }],
  ...["/", "/tmp", ...folder()].map((path) => [`--allow-write=${path}`, { name: "write", path }] as const),
];

function folder(): string[] {
  try {
    return [process.cwd()];
  } catch {
    return [];
  }
}

/** Judges the permissions of this process. */
export function judgePermissions(options: SealOptions, permissions: Permissions): SealOutcome {
  const wide = tooWide().filter(([, permission]) => permissions(permission)).map(([flag]) => flag);
  if (wide.length > 0) {
    // With a whole permission comes each part of it: one word is enough.
    const whole = new Set(wide.filter((flag) => !flag.includes("=") && !flag.includes(" for ")).map(nameOf));
    const faults = wide.filter((flag) => !whole.has(nameOf(flag)) || !/=| for /.test(flag));
    const reason = `permissions are too wide (${listed(faults)}): start it with ${narrowCommand(options)}`;
    return { kind: "unavailable", reason };
  }
  const missing = needed(options).filter(([, permission]) => !permissions(permission)).map(([flag]) => flag);
  if (missing.length > 0) {
    const reason = `not allowed, though needed: ${listed(missing)}: start it with ${narrowCommand(options)}`;
    return { kind: "unavailable", reason };
  }
  return {
    kind: "sealed",
    detail: `Deno permissions: net only for ${netHosts(options).join(", ") || "none"}`,
  };
}

/** What must be granted, or the agent cannot do what it is asked for. */
function needed(options: SealOptions): Grant[] {
  const sockets = socketPaths(options);
  return [
    ...netHosts(options).map((host): Grant => [`--allow-net=${host}`, { name: "net", host }]),
    ...[...options.read.map((path) => resolvePath(path)), ...sockets].map((
      path,
    ): Grant => [`--allow-read=${path}`, { name: "read", path }]),
    ...sockets.map((path): Grant => [`--allow-write=${path}`, { name: "write", path }]),
  ];
}

/** The first few, and how many more. */
function listed(faults: readonly string[]): string {
  const more = faults.length - FAULTS_SHOWN;
  return `${faults.slice(0, FAULTS_SHOWN).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/**
 * The command that starts the agent with what it needs and no more, for the line of a shell. The arguments of the
 * agent itself are left out, as one could be a token.
 */
export function narrowCommand(options: SealOptions): string {
  const sockets = socketPaths(options);
  const flag = (name: string, values: readonly string[]): string[] =>
    values.length === 0 ? [] : [quoted(`--allow-${name}=${[...new Set(values)].join(",")}`)];
  const program = isExecutable() ? "deno compile" : "deno run";
  return [
    program,
    // A question on a terminal would hold the agent up; what is not allowed is denied.
    ...["--no-prompt", "--no-remote"],
    ...flag("net", netHosts(options)),
    ...flag("read", [...options.read.map((path) => resolvePath(path)), ...sockets]),
    ...flag("write", sockets),
    // The environment is read as a whole, to find settings that do not exist.
    ...["--allow-env", "--allow-sys=hostname"],
    isExecutable() ? "agent.ts" : `${quoted(process.argv[1] ?? "agent.ts")} …`,
  ].join(" ");
}

/** `--allow-net` of any flag that begins so. */
function nameOf(flag: string): string {
  return /^--[a-z-]+/.exec(flag)?.[0] ?? flag;
}

function netHosts(options: SealOptions): string[] {
  const written = ({ host, port }: TcpEndpoint): string =>
    `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const sockets = socketPaths(options).map((path) => `unix:${path}`);
  return [...new Set([...options.connect, ...options.listen].map(written)), ...sockets];
}

/** Of all unix sockets, each once and absolute. */
function socketPaths({ connectUnix, listenUnix }: SealOptions): string[] {
  return [...new Set([...connectUnix, ...listenUnix].map((path) => resolvePath(path)))];
}

/** For a shell, where needed. */
function quoted(text: string): string {
  return /^[\w./:,=@%+-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
