/**
 * What can be wrong with a file, a disk and a process: each fault is told by its code, and nothing is deleted.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "bun:test";
import { openSqliteStore } from "../../lib/store/sqlite_store.ts";
import { StoreError } from "../../lib/store/store.ts";
import { eventAt } from "../contract/store.ts";
import { bunBinary, denoBinary, type RunningProcess, useProcesses } from "../support/processes.ts";

const processes = useProcesses();
const CHILD = join(import.meta.dirname ?? ".", "store_child.ts");
/** The same runtime as the test's. */
const RUN = process.versions["bun"] === undefined
  ? [denoBinary(), "run", "-A", "--no-check", CHILD]
  : [bunBinary(), CHILD];
const child = (task: string, path: string): RunningProcess => processes.start([...RUN, task, path]);

/** A store with some events in it, closed. */
function filled(count = 2_000): string {
  const path = join(processes.folder("store"), "netwall.db");
  const store = openSqliteStore(path);
  store.putEvents(Array.from({ length: count }, (_, index) => eventAt(index + 1)));
  store.close();
  return path;
}

function faultOf(path: string, name = "It"): StoreError {
  try {
    openSqliteStore(path, { busyMs: 50 }).close();
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  throw new Error(`${name} opened`);
}

describe("a file that goes away while it is open", () => {
  const audit = { atMs: 1, by: "alice", role: "operator", action: "mode.set", detail: "" };

  test("is told with the next write, and taken again when it is back", () => {
    const path = join(processes.folder("store"), "netwall.db");
    const store = openSqliteStore(path);
    store.putEvents([eventAt(1)]);
    renameSync(path, `${path}.away`);
    const writes = [
      (): unknown => store.putEvents([eventAt(2)]),
      (): unknown => store.putState("model", ""),
      (): unknown => store.addAudit(audit),
      (): unknown => store.atomically(() => store.addAudit(audit)),
    ];
    for (const write of writes) expect(write).toThrow("moved or deleted");
    // Another file by that name is not the one that is open.
    writeFileSync(path, "");
    for (const write of writes) expect(write).toThrow("moved or deleted");
    renameSync(`${path}.away`, path);
    for (const write of writes) write();
    store.close();
    const again = openSqliteStore(path);
    expect([again.lastSeq(), again.audits(9).items.length]).toEqual([2, 2]);
    again.close();
  });
});

describe("a file that is no store", () => {
  const damages: readonly (readonly [string, (path: string) => void])[] = [
    ["garbage", (path) => writeFileSync(path, "garbage\n".repeat(9_000))],
    ["a few bytes", (path) => writeFileSync(path, "xyz\n")],
    ["cut in half", (path) => truncateSync(path, 40 * 4096)],
    ["cut within a page", (path) => truncateSync(path, 40 * 4096 + 100)],
    ["a page of ones", (path) => overwrite(path, 30 * 4096, new Uint8Array(4096).fill(0xff))],
    ["a page of noughts", (path) => overwrite(path, 31 * 4096, new Uint8Array(4096))],
    ["a damaged list of tables", (path) => overwrite(path, 100, new Uint8Array(300).fill(0xee))],
  ];

  test("is told as damaged, with what to do, and stays as it is", () => {
    let faults = 0;
    for (const [name, damage] of damages) {
      const path = filled();
      damage(path);
      const before = readFileSync(path);
      const { code, message } = faultOf(path, name);
      expect([name, code]).toEqual([name, "corrupt"]);
      expect(message).toMatch(/^Cannot open the store .*netwall\.db: it is damaged .*move it away/);
      expect(Buffer.compare(readFileSync(path), before)).toBe(0);
      faults++;
    }
    expect(faults).toBe(damages.length);
  });

  test("is told as another program's database, and stays as it is", () => {
    const path = join(processes.folder("store"), "other.db");
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE mine (x)");
    other.close();
    const before = readFileSync(path);
    expect(faultOf(path)).toMatchObject({ code: "corrupt" });
    expect(faultOf(path).message).toMatch(/another program/);
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  test("is told as newer when a later release made it, and stays as it is", () => {
    const path = filled(5);
    const later = new DatabaseSync(path);
    later.exec("PRAGMA user_version = 99");
    later.close();
    const before = readFileSync(path);
    expect(faultOf(path).code).toBe("newer");
    expect(faultOf(path).message).toMatch(/later release/);
    expect(Buffer.compare(readFileSync(path), before)).toBe(0);
  });

  test("or no file at all is told as io", () => {
    const folder = processes.folder("store");
    writeFileSync(join(folder, "file"), "");
    mkdirSync(join(folder, "folder"));
    expect(faultOf(join(folder, "file", "netwall.db")).code).toBe("io");
    expect(faultOf(join(folder, "folder")).code).toBe("io");
  });

  test("with a log of garbage beside it loses nothing", () => {
    const path = filled(5);
    writeFileSync(`${path}-wal`, "garbage".repeat(10_000));
    const store = openSqliteStore(path);
    expect(store.eventsAfter(0, 9)).toHaveLength(5);
    store.close();
  });
});

function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const content = readFileSync(path);
  expect(content.length).toBeGreaterThan(offset + bytes.length);
  content.set(bytes, offset);
  writeFileSync(path, content);
}

describe("two processes", () => {
  test("have one store one after the other: the second is told busy until the first is killed", async () => {
    const path = filled(5);
    const holder = child("hold", path);
    await holder.ready;
    const { code, message } = faultOf(path);
    expect(code).toBe("busy");
    expect(message).toMatch(/another gateway uses it/);
    await holder.stop("SIGKILL");
    const store = openSqliteStore(path);
    expect(store.lastSeq()).toBe(5);
    store.close();
  });

  test("stay apart also after the first tried to open its own store once more", async () => {
    const path = filled(5);
    const store = openSqliteStore(path);
    expect(faultOf(path).code).toBe("busy");
    const other = child("attempt", path);
    await other.exit;
    expect(other.stdout()).toBe("busy\n");
    store.putEvents([eventAt(6)]);
    expect(store.lastSeq()).toBe(6);
    store.close();
  });
});

describe("SIGKILL", () => {
  test("under load loses nothing that was acknowledged, round after round", async () => {
    const path = join(processes.folder("store"), "netwall.db");
    let [rounds, acknowledged, lastSeq] = [0, 0, 0];
    for (const waits of [1, 8, 3, 15]) {
      const writer = child("write", path);
      await writer.waitFor("stdout", new RegExp(`^commit ${waits} .*\\n`, "m"));
      await writer.stop("SIGKILL");
      const lines = writer.stdout();
      expect(lines).not.toMatch(/fault/);
      const from = Number(lines.match(/^from (\d+)$/m)?.[1]);
      const to = Math.max(...[...lines.matchAll(/^commit \d+ up to (\d+)$/gm)].map(([, seq]) => Number(seq)));
      expect(from).toBeGreaterThan(lastSeq);
      const store = openSqliteStore(path);
      lastSeq = store.lastSeq();
      expect(lastSeq).toBeGreaterThanOrEqual(to);
      const stored = new Set<number>();
      for (let seq = from - 1; seq < lastSeq;) {
        for (const event of store.eventsAfter(seq, 1_000)) stored.add(seq = event.seq);
      }
      for (let seq = from; seq <= to; seq++) {
        if (!stored.has(seq)) throw new Error(`Lost ${seq} of ${from} to ${to}`);
      }
      acknowledged += to - from + 1;
      store.close();
      rounds++;
    }
    expect(rounds).toBe(4);
    expect(acknowledged).toBeGreaterThan(500);
  }, 60_000);
});

/** Gives a command a disk of 8 MiB at `$1`, which ends with it. */
const SMALL_DISK = ["unshare", process.getuid?.() === 0 ? "-m" : "-rm", "sh", "-c"];
const MOUNT = 'mount -t tmpfs -o size=8m tmpfs "$1" && shift && exec "$@"';
const canMount =
  spawnSync(SMALL_DISK[0]!, [...SMALL_DISK.slice(1), MOUNT, "sh", "/mnt", "true"]).status === 0;

describe("a full disk", () => {
  // Where no file system can be mounted there is no small disk.
  test.skipIf(!canMount)("is told once, holds up to the bound, and ends when there is room", async () => {
    const folder = processes.folder("disk");
    const path = join(folder, "netwall.db");
    const filler = processes.start([...SMALL_DISK, MOUNT, "sh", folder, ...RUN, "fill", path]);
    const [, json = ""] = await filler.waitFor("stdout", /^end (.*)$/m);
    const lines = filler.stdout();
    expect(lines).toMatch(/^fault full: Cannot write to the store .*: the disk is full, make room on it$/m);
    expect(lines).toMatch(/^full 300$/m);
    const { faults, stored, unrecorded, waiting, lastSeq } = JSON.parse(json);
    expect(faults).toBe(1);
    expect(unrecorded.events).toBeGreaterThan(0);
    expect(stored + unrecorded.events).toBe(2_000);
    expect([waiting, lastSeq]).toEqual([0, 2_000]);
  });
});
