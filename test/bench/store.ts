/**
 * How many events the store takes in a second while the same process serves HTTP: `bun test/bench/store.ts [SECONDS]`,
 * or the same under Deno. The figures are of one run on whatever else the machine does.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setImmediate, setTimeout } from "node:timers/promises";
import { EventLog } from "../../lib/events/event_log.ts";
import { openSqliteStore } from "../../lib/store/sqlite_store.ts";
import { StoreWriter } from "../../lib/store/store_writer.ts";
import { eventAt } from "../contract/store.ts";
import { ProcessGroup } from "../support/processes.ts";
import { wrk } from "./load.ts";

/** Of wrk, which has a core of its own. */
const CONNECTIONS = 16;

const seconds = Number(process.argv[2] ?? 3);
const folder = mkdtempSync(join(tmpdir(), "netwall-bench-"));
const store = openSqliteStore(join(folder, "netwall.db"));
const say = (line: string): void => void process.stdout.write(`${line}\n`);
let commits = 0;
const writer = new StoreWriter(store, {
  onFault: (error) => say(error.message),
  onHealed: () => {},
  onCommitted: () => commits++,
  retention: () => ({ beforeMs: 0, bytesMax: 64 << 20 }),
  pruneMs: 1_000,
});
/** A log per event, so that nothing is merged: what is measured is the store. */
const log = (): EventLog =>
  new EventLog({ nowMs: Date.now, nextSeq: () => writer.nextSeq(), write: (event) => writer.event(event) });

function notice(index: number): void {
  const { id: _id, seq: _seq, firstTime: _first, count: _count, ...event } = eventAt(index);
  log().notice({
    ...event,
    time: Date.now(),
    http: {
      method: "GET",
      host: "shop.example",
      path: `/users/${index}?page=2`,
      route: "/users/{int}",
      status: 403,
      userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
      requestId: `0190-${index}`,
    },
    deviation: { kind: "route", observed: "/users/{int}", expected: "/, /login, /cart" },
  });
}

/** Offers events and measures how long other work has to wait for its turn. */
async function run(name: string, offer: (elapsedMs: number, sent: number) => number): Promise<void> {
  const holds: number[] = [];
  const startMs = performance.now();
  let sent = 0;
  for (let lastMs = startMs; lastMs - startMs < seconds * 1_000;) {
    const count = offer(lastMs - startMs, sent);
    for (let index = 0; index < count; index++) notice(++sent);
    const offeredMs = performance.now();
    await (count === 0 ? setTimeout(1) : setImmediate());
    lastMs = performance.now();
    holds.push(lastMs - offeredMs);
  }
  writer.flush();
  const tookSeconds = (performance.now() - startMs) / 1_000;
  holds.sort((a, b) => a - b);
  const at = (share: number): string => (holds[Math.floor((holds.length - 1) * share)] ?? 0).toFixed(1);
  say(
    `${name}: ${Math.round((sent - writer.unrecorded.events) / tookSeconds)} events stored/s of ${
      Math.round(sent / tookSeconds)
    } offered, hold of the loop p50 ${at(0.5)} p99 ${at(0.99)} longest ${at(1)} ms, ${
      (store.sizeBytes() / 2 ** 20).toFixed(1)
    } MiB`,
  );
}

const server = http.createServer((_, response) => response.end("x".repeat(1_024)));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
const group = new ProcessGroup();
const load = async (): Promise<string> => {
  const { requestsPerSecond } = await wrk(group, url, CONNECTIONS, Math.ceil(seconds));
  return Math.round(requestsPerSecond).toString();
};
say(`served without events: ${await load()} requests/s`);
const served = load();
await run("at 6,000/s, while serving", (elapsedMs, sent) => Math.max(0, Math.floor(elapsedMs * 6) - sent));
say(`served beside them: ${await served} requests/s`);
await run("at 6,000/s", (elapsedMs, sent) => Math.max(0, Math.floor(elapsedMs * 6) - sent));
await run("as fast as it can", () => writer.waiting < 4_000 ? 32 : 0);
server.close();
server.closeAllConnections();
await group.dispose();

const startMs = performance.now();
const page = store.events({ limit: 100, image: "no such image", effect: ["alert"] });
const stored = store.lastSeq();
say(
  `a query that finds ${page.items.length}: ${
    (performance.now() - startMs).toFixed(1)
  } ms, last seq ${stored}`,
);
writer.close();
store.close();
rmSync(folder, { recursive: true });
