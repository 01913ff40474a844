/**
 * Events in a file: whole lines whatever happens to the disk, the file and the process before.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type EventFile, type NdjsonFileSink, ndjsonFileSink } from "../../lib/events/sinks/ndjson_file.ts";
import type { SinkTuning } from "../../lib/events/sinks/sink.ts";
import { sampleEvent, ToldFaults, until } from "./event_samples.ts";

const root = mkdtempSync(join(tmpdir(), "netwall-ndjson-"));
let count = 0;
let path = "";
let faults = new ToldFaults();
const sinks: NdjsonFileSink[] = [];

beforeEach(() => {
  path = join(root, `events-${count++}.ndjson`);
  faults = new ToldFaults();
});
afterEach(async () => {
  for (const sink of sinks.splice(0)) await sink.close(0);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function sinkOf(open?: (path: string) => Promise<EventFile>, tuning: SinkTuning = {}): NdjsonFileSink {
  const { onFault, onHealed } = faults;
  const quick = { backoffMsMin: 5, backoffMsMax: 5, ...tuning };
  const sink = ndjsonFileSink({
    path,
    onFault,
    onHealed,
    tuning: quick,
    ...(open === undefined ? {} : { open }),
  });
  sinks.push(sink);
  return sink;
}

/** The numbers of the events in a file, in order. A line that is no event fails. */
function numbersIn(file: string): number[] {
  const text = readFileSync(file, "utf8");
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text.split("\n").slice(0, -1).map((line) => (JSON.parse(line) as { seq: number }).seq);
}

function upTo(end: number, start = 1): number[] {
  return Array.from({ length: end - start + 1 }, (_, index) => start + index);
}

/** A disk with room for so many more bytes; a write takes what fits, and the next one fails. */
class SmallDisk {
  bytesLeft: number;
  canTruncate = true;
  /** A write of which only a part fits fails at once, and does not say how much it wrote. */
  tellsParts = true;
  constructor(bytes: number) {
    this.bytesLeft = bytes;
  }
  readonly open = async (at: string): Promise<EventFile> => {
    const file = await open(at, "a+", 0o600);
    return {
      write: async (bytes, offset, length, position) => {
        if (this.bytesLeft === 0) throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
        const written = await file.write(bytes, offset, Math.min(length, this.bytesLeft), position);
        this.bytesLeft -= written.bytesWritten;
        if (!this.tellsParts && written.bytesWritten < length) throw new Error("ENOSPC: no space left");
        return written;
      },
      read: (bytes, offset, length, position) => file.read(bytes, offset, length, position),
      stat: () => file.stat(),
      truncate: async (bytes) => {
        if (!this.canTruncate) throw new Error("EIO");
        this.bytesLeft += (await file.stat()).size - bytes;
        await file.truncate(bytes);
      },
      close: () => file.close(),
    };
  };
}

describe("ndjsonFileSink()", () => {
  test("writes each event as one line of a file that only its owner reads", async () => {
    const sink = sinkOf();
    for (const number of upTo(2_500)) sink.put(sampleEvent(number));
    await sink.close(5_000);
    expect(numbersIn(path)).toEqual(upTo(2_500));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8").split("\n")[0]!)).toEqual(sampleEvent(1));
    expect(sink.dropped).toBe(0);
    expect(faults.told).toEqual([]);
  });

  test("keeps to one line whatever an event says, and shows no control character", async () => {
    const message = 'a\nb\r\n{"c":1}\u2028\u0085\u001b[31m\u202e\ud800';
    const sink = sinkOf();
    sink.put(sampleEvent(1, { message }));
    await sink.close(5_000);
    const text = readFileSync(path, "utf8");
    expect(text.split("\n")).toHaveLength(2);
    expect(/[\u0080-\u009f\u2028\u202e]/.test(text)).toBe(false);
    expect((JSON.parse(text) as { message: string }).message).toBe(message);
  });

  test("begins on a new line after one that a crash cut off", async () => {
    writeFileSync(path, '{"id":"1","se');
    const sink = sinkOf();
    sink.put(sampleEvent(2));
    await sink.close(5_000);
    const [torn, line, end] = readFileSync(path, "utf8").split("\n");
    expect(torn).toBe('{"id":"1","se');
    expect((JSON.parse(line!) as { seq: number }).seq).toBe(2);
    expect(end).toBe("");
  });

  test("adds to whole lines that are there", async () => {
    for (const number of upTo(3)) {
      const sink = sinkOf();
      sink.put(sampleEvent(number));
      await sink.close(5_000);
    }
    expect(numbersIn(path)).toEqual([1, 2, 3]);
  });

  test("makes a new file when its own was moved or deleted, and goes on in one that was cut", async () => {
    const sink = sinkOf();
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    renameSync(path, `${path}.1`);
    sink.put(sampleEvent(2));
    await until(() => sink.waiting === 0);
    expect(numbersIn(`${path}.1`)).toEqual([1]);
    expect(numbersIn(path)).toEqual([2]);
    truncateSync(path, 0);
    sink.put(sampleEvent(3));
    await until(() => sink.waiting === 0);
    expect(numbersIn(path)).toEqual([3]);
    rmSync(path);
    sink.put(sampleEvent(4));
    await sink.close(5_000);
    expect(numbersIn(path)).toEqual([4]);
  });

  test("opens its file again when told to", async () => {
    let opened = 0;
    const sink = sinkOf((at) => {
      opened++;
      return open(at, "a+", 0o600);
    });
    sink.put(sampleEvent(1));
    await until(() => sink.waiting === 0);
    sink.put(sampleEvent(2));
    await until(() => sink.waiting === 0);
    expect(opened).toBe(1);
    sink.reopen();
    sink.put(sampleEvent(3));
    await sink.close(5_000);
    expect(opened).toBe(2);
    expect(numbersIn(path)).toEqual([1, 2, 3]);
  });

  test.each([true, false])(
    "leaves no half line on a full disk, and heals; parts told: %s",
    async (tellsParts) => {
      const lineBytes = JSON.stringify(sampleEvent(1)).length + 1;
      const disk = new SmallDisk(Math.floor(lineBytes * 3.5));
      disk.tellsParts = tellsParts;
      const sink = sinkOf(disk.open);
      for (const number of upTo(10)) sink.put(sampleEvent(number));
      await until(() => faults.told.length === 1);
      expect(sink.waiting).toBe(7);
      disk.bytesLeft = 1 << 20;
      await sink.close(5_000);
      expect(numbersIn(path)).toEqual(upTo(10));
      expect(sink.dropped).toBe(0);
      expect(faults.told[0]!).toMatch(/^file: Cannot write events to .*ENOSPC: no space left/);
      expect(faults.told.slice(1)).toEqual(["file healed"]);
    },
  );

  test.each([true, false])(
    "closed on a full disk ends with a whole line; parts told: %s",
    async (tellsParts) => {
      const lineBytes = JSON.stringify(sampleEvent(1)).length + 1;
      const disk = new SmallDisk(Math.floor(lineBytes * 2.5));
      disk.tellsParts = tellsParts;
      const sink = sinkOf(disk.open);
      for (const number of upTo(5)) sink.put(sampleEvent(number));
      await until(() => faults.told.length === 1);
      await sink.close(30);
      expect(numbersIn(path)).toEqual([1, 2]);
      expect(sink.dropped).toBe(3);
    },
  );

  test("loses no event when the half line cannot be taken back", async () => {
    const lineBytes = JSON.stringify(sampleEvent(1)).length + 1;
    const disk = new SmallDisk(Math.floor(lineBytes * 1.5));
    disk.canTruncate = false;
    const sink = sinkOf(disk.open);
    for (const number of upTo(3)) sink.put(sampleEvent(number));
    await until(() => faults.told.length === 1);
    disk.bytesLeft = 1 << 20;
    await sink.close(5_000);
    const lines = readFileSync(path, "utf8").split("\n");
    // The first event, half of the second, and from a new line on all that was left.
    expect(lines).toHaveLength(5);
    expect([0, 2, 3].map((at) => (JSON.parse(lines[at]!) as { seq: number }).seq)).toEqual([1, 2, 3]);
  });

  test("keeps trying for a folder that is not there, tells it once, and counts what had no room", async () => {
    path = join(root, "later", "events.ndjson");
    const sink = sinkOf(undefined, { queueEventsMax: 5 });
    for (const number of upTo(8)) sink.put(sampleEvent(number));
    expect([sink.waiting, sink.dropped]).toEqual([5, 3]);
    await until(() => faults.told.length === 1);
    mkdirSync(join(root, "later"));
    await until(() => faults.told.length === 2);
    await sink.close(5_000);
    expect(numbersIn(path)).toEqual(upTo(5));
    expect(faults.told[1]).toBe("file healed");
    sink.put(sampleEvent(9));
    expect(sink.dropped).toBe(4);
  });

  test("bounds what waits by its bytes too", () => {
    const sink = sinkOf(() => Promise.reject(new Error("no")), { queueBytesMax: 10_000 });
    for (const number of upTo(100)) sink.put(sampleEvent(number, { message: "x".repeat(1_000) }));
    expect(sink.waiting).toBeGreaterThan(2);
    expect(sink.waiting).toBeLessThan(10);
    expect(sink.waiting + sink.dropped).toBe(100);
  });

  test("refuses what is no regular file, without hanging on it", async () => {
    execFileSync("mkfifo", [path]);
    const sink = sinkOf();
    sink.put(sampleEvent(1));
    await until(() => faults.told.length === 1);
    expect(faults.told[0]!).toContain("no regular file");
    await sink.close(0);
    expect(sink.dropped).toBe(1);
    path = root;
    const folder = sinkOf();
    folder.put(sampleEvent(1));
    await until(() => faults.told.length === 2);
    expect(faults.told[1]!).toContain("EISDIR");
  });

  test("close() gives up after its grace, counts what is left, and can be asked twice", async () => {
    const sink = sinkOf(() => new Promise(() => {}));
    for (const number of upTo(3)) sink.put(sampleEvent(number));
    await Promise.all([sink.close(20), sink.close(20)]);
    expect([sink.dropped, sink.waiting]).toEqual([3, 0]);
  });

  test("put() of what cannot be encoded is counted and throws nothing", async () => {
    const sink = sinkOf();
    const loop: Record<string, unknown> = {};
    loop["self"] = loop;
    sink.put(loop as unknown as ReturnType<typeof sampleEvent>);
    sink.put(sampleEvent(1));
    await sink.close(5_000);
    expect(sink.dropped).toBe(1);
    appendFileSync(path, "");
    expect(numbersIn(path)).toEqual([1]);
  });
});
