/**
 * Who holds a socket: the processes whose open files name its inode.
 *
 * A process of another user, or one in a PID namespace that is not seen from here, hides its files: its sockets have
 * an unknown owner, which says nothing about whether they are reachable. Names of processes are chosen by whoever
 * runs them and may hold any byte: they are escaped before they leave here.
 *
 * Source: proc_pid_fd(5), proc_pid_comm(5).
 *
 * @module
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { setImmediate } from "node:timers";
import { printable } from "../printable.ts";

/** Who holds a socket. */
export type SocketOwner =
  /** This very process. */
  | { readonly kind: "agent" }
  /** `name` is printable; the kernel cuts names to 15 bytes. */
  | { readonly kind: "process"; readonly pid: number; readonly name: string }
  | { readonly kind: "unknown" };

/** Processes that are looked at, from the lowest id; what others hold has no owner. */
export const PROCESSES_MAX = 32_768;
/** Open files of one process that are looked at; one with more is left out where the kernel tells their number. */
export const PROCESS_FILES_MAX = 65_536;
/** Open files that are looked at in all: about 2 s of work, in slices. */
export const FILES_MAX = 524_288;
/** How long the event loop is kept at a time. */
const SLICE_MS = 5;
/** The clock is asked once in so many files, as asking costs as much as one of them. */
const FILES_PER_LOOK = 32;

const SOCKET = /^socket:\[(\d{1,15})\]$/;
const UNKNOWN: SocketOwner = { kind: "unknown" };

/** What is left of the work and the time. */
interface Search {
  readonly proc: string;
  readonly wanted: Set<number>;
  readonly found: Map<number, SocketOwner>;
  filesLeft: number;
  sliceEndsAtMs: number;
}

/**
 * Finds the owners of sockets. Of several processes that share one, this process counts first, then the lowest id.
 *
 * @param proc Where the proc file system is.
 * @param inodes Sockets by inode; 0 is nobody's.
 * @returns An owner for every inode. Never rejects: what cannot be read is an unknown owner.
 */
export async function socketOwners(
  proc: string,
  inodes: Iterable<number>,
): Promise<Map<number, SocketOwner>> {
  const wanted = new Set(inodes);
  const found = new Map<number, SocketOwner>([...wanted].map((inode) => [inode, UNKNOWN]));
  wanted.delete(0);
  const search: Search = { proc, wanted, found, filesLeft: FILES_MAX, sliceEndsAtMs: 0 };
  await turn(search);
  await searchProcess(search, "self", () => ({ kind: "agent" }));
  for (const pid of processIds(proc)) {
    if (wanted.size === 0 || search.filesLeft <= 0) break;
    await searchProcess(search, pid, () => ({ kind: "process", pid: Number(pid), name: nameOf(proc, pid) }));
  }
  return found;
}

function processIds(proc: string): string[] {
  try {
    const pids = readdirSync(proc).filter((name) => /^[1-9]\d{0,9}$/.test(name));
    return pids.sort((a, b) => Number(a) - Number(b)).slice(0, PROCESSES_MAX);
  } catch {
    return [];
  }
}

/** Takes what a process holds out of what is wanted. Listing its files is a turn of the event loop already. */
async function searchProcess(search: Search, pid: string, owner: () => SocketOwner): Promise<void> {
  const folder = `${search.proc}/${pid}/fd`;
  let files: string[];
  try {
    // Since Linux 6.2 the size is the number of open files, before that 0.
    if (statSync(folder).size > PROCESS_FILES_MAX) return;
    files = await readdir(folder);
  } catch {
    return;
  }
  let at = 0;
  for (const file of files) {
    if (search.wanted.size === 0 || search.filesLeft <= 0) return;
    search.filesLeft -= 1;
    at += 1;
    if (at % FILES_PER_LOOK === 0 && performance.now() > search.sliceEndsAtMs) await turn(search);
    const inode = socketInode(`${folder}/${file}`);
    if (inode === undefined || !search.wanted.delete(inode)) continue;
    search.found.set(inode, owner());
  }
}

function socketInode(path: string): number | undefined {
  try {
    const match = SOCKET.exec(readlinkSync(path));
    return match === null ? undefined : Number(match[1]);
  } catch {
    // The file was closed, or the process ended, since the folder was listed.
    return undefined;
  }
}

function nameOf(proc: string, pid: string): string {
  try {
    return printable(readFileSync(`${proc}/${pid}/comm`, "utf8").replace(/\n$/, "").slice(0, 64)) || "?";
  } catch {
    return "?";
  }
}

/** Lets the event loop go on with other work, and starts a new slice. */
function turn(search: Search): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(() => {
      search.sliceEndsAtMs = performance.now() + SLICE_MS;
      resolve();
    });
  });
}
