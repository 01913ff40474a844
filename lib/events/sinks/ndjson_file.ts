/**
 * Events in a file, one JSON object a line, for whatever reads logs.
 *
 * The file is appended to and never read back, save for its last byte: a line that a crash cut off is left as it is,
 * and the next event begins on a new line. A line that a full disk cut off is taken back and written again. When the
 * file was moved away, as log rotation does, a new one is made at the next event; `copytruncate` works too. What is
 * written survives the end of the process; it is not synced to the disk.
 *
 * Source: the NDJSON form of JSON (RFC 8259), logrotate(8).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { open, stat } from "node:fs/promises";
import { clearTimeout, setTimeout } from "node:timers";
import { printable, quoted } from "../../printable.ts";
import type { NetwallEvent } from "../event.ts";
import { QueuedSink } from "./queued_sink.ts";
import {
  type Batch,
  type Carrier,
  type Delivery,
  type EventSink,
  type SinkHooks,
  type SinkTuning,
} from "./sink.ts";

/** Only the gateway's own user may read it: it says who talks to whom. One that is there keeps its mode. */
export const FILE_MODE = 0o600;
/** The most that is written at once. */
const WRITE_BYTES_MAX = 256 << 10;
const WRITE_EVENTS_MAX = 1_000;
/** A full disk is tried again at least this often. */
const RETRY_MS_MAX = 5_000;

/** How long the end waits for an attempt that is under way. */
const END_MS = 500;

/** What of a file is used: that of `node:fs/promises`, or one that fails on purpose. */
export interface EventFile {
  write(bytes: Uint8Array, offset: number, length: number, position: null): Promise<{ bytesWritten: number }>;
  read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  stat(): Promise<{ dev: number; ino: number; size: number; isFile(): boolean }>;
  truncate(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface NdjsonFileOptions extends SinkHooks {
  readonly path: string;
  readonly tuning?: SinkTuning;
  /** Opens for appending and reading, and creates. @default that of the system */
  readonly open?: (path: string) => Promise<EventFile>;
}

/** A sink that can be told that its file was moved. */
export interface NdjsonFileSink extends EventSink {
  /** Closes the file and opens it by its path before the next line. For a signal; rotation is noticed without it. */
  reopen(): void;
}

/** Makes the sink. The file is opened with the first event: a folder that is not there is told as a fault then. */
export function ndjsonFileSink(options: NdjsonFileOptions): NdjsonFileSink {
  const carrier = new NdjsonFile(options);
  const sink = new QueuedSink({
    name: "file",
    carrier,
    batchEventsMax: WRITE_EVENTS_MAX,
    batchBytesMax: WRITE_BYTES_MAX,
    waitMs: 0,
    onFault: options.onFault,
    onHealed: options.onHealed,
    tuning: { backoffMsMax: RETRY_MS_MAX, ...options.tuning },
  });
  return Object.assign(sink, { reopen: () => carrier.reopen() });
}

class NdjsonFile implements Carrier {
  readonly #path: string;
  readonly #open: (path: string) => Promise<EventFile>;
  #file: EventFile | undefined;
  #isStale = false;
  #isEnded = false;
  /** The attempt that is under way, or the last one; it never rejects. */
  #busy: Promise<unknown> | undefined;

  constructor(options: NdjsonFileOptions) {
    this.#path = options.path;
    this.#open = options.open ?? ((path) => open(path, "a+", FILE_MODE));
  }

  reopen(): void {
    this.#isStale = true;
  }

  encode(event: NetwallEvent): Uint8Array {
    // JSON escapes C0 itself; what is left could still drive the terminal of who looks at the file.
    return Buffer.from(`${printable(JSON.stringify(event))}\n`);
  }

  deliver(batch: Batch): Promise<Delivery> {
    const busy = this.#append(batch);
    this.#busy = busy;
    return busy;
  }

  async #append(batch: Batch): Promise<Delivery> {
    let file: EventFile;
    try {
      file = await this.#current();
    } catch (error) {
      return this.#failed(error, 0);
    }
    const bytes = Buffer.concat(batch.items);
    let startBytes = 0;
    let written = 0;
    try {
      startBytes = (await file.stat()).size;
      while (written < bytes.length) {
        const { bytesWritten } = await file.write(bytes, written, bytes.length - written, null);
        if (bytesWritten === 0) throw new Error("nothing was written");
        written += bytesWritten;
      }
      return { kind: "delivered" };
    } catch (error) {
      // A write that fails may have written part of it without a word, as on Deno.
      const foundBytes = await foundAfter(file, startBytes, bytes);
      const { lines, restBytes } = wholeLines(batch.items, Math.max(written, foundBytes));
      if (restBytes > 0 && foundBytes > 0) await takeBack(file, restBytes);
      await this.#leave();
      return this.#failed(error, lines);
    }
  }

  async end(): Promise<void> {
    this.#isEnded = true;
    // A half line is taken back first, if the disk answers at all.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, END_MS));
    await Promise.race([this.#busy, late]);
    clearTimeout(timer);
    await this.#leave();
  }

  /** The file that the path names now. */
  async #current(): Promise<EventFile> {
    if (this.#file !== undefined && (this.#isStale || await this.#wasMoved(this.#file))) await this.#leave();
    this.#isStale = false;
    if (this.#file !== undefined) return this.#file;
    const file = await this.#open(this.#path);
    try {
      const { size, isFile } = await this.#checked(file);
      if (!isFile) throw new Error("it is no regular file: name one");
      if (size > 0 && await lastByte(file, size) !== 0x0a) await file.write(Buffer.from("\n"), 0, 1, null);
      if (this.#isEnded) throw new Error("the sink was closed");
    } catch (error) {
      await file.close().catch(() => {});
      throw error;
    }
    return this.#file = file;
  }

  async #checked(file: EventFile): Promise<{ size: number; isFile: boolean }> {
    const found = await file.stat();
    return { size: found.size, isFile: found.isFile() };
  }

  async #wasMoved(file: EventFile): Promise<boolean> {
    const [held, named] = await Promise.all([file.stat(), stat(this.#path).catch(() => undefined)]);
    return named === undefined || held.ino !== named.ino || held.dev !== named.dev;
  }

  async #leave(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    // Whatever a close has to say, there is nothing that could be done about it.
    await file?.close().catch(() => {});
  }

  #failed(error: unknown, delivered: number): Delivery {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `Cannot write events to ${quoted(this.#path, 256)}: ${reason}; ` +
      "they wait in memory while there is room: free space, or make the folder writable";
    return { kind: "failed", message, delivered };
  }
}

/** How many lines are in the first `bytes`, and how many bytes of the next one. */
function wholeLines(items: readonly Uint8Array[], bytes: number): { lines: number; restBytes: number } {
  let lines = 0;
  let restBytes = bytes;
  while (lines < items.length && restBytes >= items[lines]!.length) restBytes -= items[lines++]!.length;
  return { lines, restBytes };
}

/** How many of `bytes` are the end of the file: 0 unless it grew by just so many, and by these. */
async function foundAfter(file: EventFile, startBytes: number, bytes: Uint8Array): Promise<number> {
  try {
    const grownBytes = (await file.stat()).size - startBytes;
    if (grownBytes <= 0 || grownBytes > bytes.length) return 0;
    const found = Buffer.alloc(grownBytes);
    const { bytesRead } = await file.read(found, 0, grownBytes, startBytes);
    return bytesRead === grownBytes && found.equals(bytes.subarray(0, grownBytes)) ? grownBytes : 0;
  } catch {
    return 0;
  }
}

/** Takes the first part of a line away that could not be written whole. Freeing space works on a full disk. */
async function takeBack(file: EventFile, restBytes: number): Promise<void> {
  try {
    await file.truncate((await file.stat()).size - restBytes);
  } catch {
    // Opened again, the file is found to end within a line, and the next one begins on a new one.
  }
}

async function lastByte(file: EventFile, sizeBytes: number): Promise<number | undefined> {
  const byte = new Uint8Array(1);
  const { bytesRead } = await file.read(byte, 0, 1, sizeBytes - 1);
  return bytesRead === 1 ? byte[0] : undefined;
}
