/**
 * Text as the kernel writes it in `/proc/net`, and a proc folder made of it.
 *
 * @module
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SOCKET_TABLES, type SocketProtocol } from "../../lib/seal/listeners.ts";

/** The header of a table, with the padding of the kernel. */
export function header(protocol: SocketProtocol): string {
  if (protocol === "tcp") {
    return "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode" +
      " ".repeat(53);
  }
  const tail = protocol === "tcp6" ? "inode" : "inode ref pointer drops";
  const names = protocol.endsWith("6")
    ? "local_address                         remote_address                       "
    : "local_address rem_address  ";
  return `   sl  ${names} st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout ${tail}`;
}

/** What stands in a line that a test makes. */
export interface LineParts {
  /** As the kernel prints it: little-endian words in hex. */
  readonly address: string;
  readonly port: number;
  readonly peer?: string;
  readonly peerPort?: number;
  /** @default "0A" for TCP, else "07" */
  readonly state?: string;
  readonly inode?: number;
  readonly uid?: number;
}

/** A line of a table, with the padding of the kernel. */
export function line(protocol: SocketProtocol, parts: LineParts): string {
  const { address, port, peer = "0".repeat(address.length), peerPort = 0, inode = 4711, uid = 0 } = parts;
  const state = parts.state ?? (protocol.startsWith("tcp") ? "0A" : "07");
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(4, "0");
  const ends = `${address}:${hex(port)} ${peer}:${hex(peerPort)} ${state}`;
  const rest = `00000000:00000000 00:00000000 00000000 ${String(uid).padStart(5)}        0 ${inode}`;
  const tail = protocol.startsWith("tcp") ? "1 00000000bee8634d 100 0 0 10 0" : "2 00000000bee8634d 0";
  const text = `   0: ${ends} ${rest} ${tail}`;
  return protocol === "tcp" ? text.padEnd(149) : protocol.endsWith("6") ? text : text.padEnd(127);
}

/** A whole table. */
export function table(protocol: SocketProtocol, lines: readonly string[]): string {
  return [header(protocol), ...lines].map((each) => `${each}\n`).join("");
}

/** Addresses as the kernel prints them on a little-endian machine. */
export const HEX = {
  any4: "00000000",
  loopback4: "0100007F",
  other4: "0A0200C0",
  any6: "0".repeat(32),
  loopback6: "00000000000000000000000001000000",
  mapped127: "0000000000000000FFFF00000100007F",
  mappedAny: "0000000000000000FFFF000000000000",
} as const;

/** The files of a fake proc folder. */
export interface FakeProc {
  /** Lines of each table; the others get a header alone, and `null` leaves the file out. */
  readonly tables?: Partial<Record<SocketProtocol, readonly string[] | null>>;
  /** More files in `self/net`, or other text for tables. @default an empty `if_inet6` */
  readonly files?: Readonly<Record<string, string | null>>;
  /** Processes by id; `self` is 42. */
  readonly processes?: Readonly<Record<number, { name: string; links: readonly string[] }>>;
}

/** Writes a proc folder under `folder`, where process 42 reads it. */
export function writeProc(folder: string, fake: FakeProc = {}): string {
  const net = join(folder, "42", "net");
  mkdirSync(net, { recursive: true });
  symlinkSync("42", join(folder, "self"));
  const files: Record<string, string | null> = { ["if_inet6"]: "", ...fake.files };
  for (const protocol of SOCKET_TABLES) {
    const lines = fake.tables?.[protocol];
    files[protocol] ??= lines === null ? null : table(protocol, lines ?? []);
  }
  for (const [name, text] of Object.entries(files)) {
    if (text === null) continue;
    if (name.includes("/")) mkdirSync(join(net, name, ".."), { recursive: true });
    writeFileSync(join(net, name), text);
  }
  for (const [pid, { name, links }] of Object.entries(fake.processes ?? {})) {
    const fd = join(folder, pid, "fd");
    mkdirSync(fd, { recursive: true });
    writeFileSync(join(folder, pid, "comm"), `${name}\n`);
    links.forEach((link, at) => symlinkSync(link, join(fd, String(at))));
  }
  return folder;
}
