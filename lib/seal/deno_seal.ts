/**
 * Whether the permissions of Deno lock an agent in, and the command that would.
 *
 * Narrow means: `net` not for every host, no `run`, no `ffi`, and `write` not for every path. Nothing can be given up
 * from inside in a way that leaves the rest, so a start with wide permissions is only told how to do better.
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

/** What must not be granted. The hosts are addresses for documentation, RFC 5737 and RFC 3849: nobody needs them. */
const TOO_WIDE: readonly (readonly [flag: string, permission: Permission])[] = [
  ["--allow-net without hosts", { name: "net" }],
  ["--allow-net for every IPv4 address", { name: "net", host: "192.0.2.1:9" }],
  ["--allow-net for every IPv6 address", { name: "net", host: "[2001:db8::1]:9" }],
  ["--allow-run", { name: "run" }],
  ["--allow-ffi", { name: "ffi" }],
  ["--allow-write without paths", { name: "write" }],
];

/** Judges the permissions of this process. */
export function judgePermissions(options: SealOptions, permissions: Permissions): SealOutcome {
  const wide = TOO_WIDE.filter(([, permission]) => permissions(permission)).map(([flag]) => flag);
  if (wide.length > 0) {
    // With all hosts come all addresses: one word is enough.
    const faults = wide[0] === TOO_WIDE[0]![0] ? wide.filter((flag) => !flag.includes("every")) : wide;
    const reason = `permissions are too wide (${faults.join(", ")}): start it with ${narrowCommand(options)}`;
    return { kind: "unavailable", reason };
  }
  const hosts = netHosts(options);
  const missing = hosts.filter((host) => !permissions({ name: "net", host }));
  const lack = missing.length === 0 ? "" : `; not allowed, though needed: ${missing.join(", ")}`;
  return { kind: "sealed", detail: `Deno permissions: net only for ${hosts.join(", ") || "none"}${lack}` };
}

/**
 * The command that starts the agent with what it needs and no more, for the line of a shell. The arguments of the
 * agent itself are left out, as one could be a token.
 */
export function narrowCommand(options: SealOptions): string {
  const sockets = [...options.connectUnix, ...options.listenUnix].map((path) => resolvePath(path));
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

function netHosts(options: SealOptions): string[] {
  const written = ({ host, port }: TcpEndpoint): string =>
    `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const sockets = [...options.connectUnix, ...options.listenUnix].map((path) => `unix:${resolvePath(path)}`);
  return [...new Set([...options.connect, ...options.listen].map(written)), ...new Set(sockets)];
}

/** For a shell, where needed. */
function quoted(text: string): string {
  return /^[\w./:,=@%+-]*$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
