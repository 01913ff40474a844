/**
 * Resident memory of processes, from `/proc`. Linux only.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";

/** Often enough to see a peak that lasts; shorter ones are in the kernel's own high-water mark. */
const SAMPLE_MS = 50;

function statusBytes(pid: number, field: "VmRSS" | "VmHWM"): number {
  const text = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = text.match(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m"))?.[1];
  if (kibibytes === undefined) throw new Error(`Cannot read ${field} of process ${pid}: it has ended`);
  return Number(kibibytes) * 1024;
}

/** Resident bytes now. */
export function residentBytes(pid: number): number {
  return statusBytes(pid, "VmRSS");
}

/** Watches how far the memory of a process rises above what it was when the watch began. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #idleBytes: number;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #hasMark: boolean;
  #peakBytes: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.#idleBytes = residentBytes(pid);
    this.#peakBytes = this.#idleBytes;
    this.#hasMark = resetMark(pid);
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  #sample(): void {
    this.#peakBytes = Math.max(this.#peakBytes, residentBytes(this.#pid));
  }

  /** Ends the watch: the peak over the start, in bytes, by the kernel's mark where it could be reset. */
  stop(): number {
    clearInterval(this.#timer);
    this.#sample();
    if (this.#hasMark) this.#peakBytes = Math.max(this.#peakBytes, statusBytes(this.#pid, "VmHWM"));
    return this.#peakBytes - this.#idleBytes;
  }
}

/** Sets the high-water mark back to what is resident now. False where that is not allowed. */
function resetMark(pid: number): boolean {
  try {
    writeFileSync(`/proc/${pid}/clear_refs`, "5");
    return true;
  } catch {
    return false;
  }
}
