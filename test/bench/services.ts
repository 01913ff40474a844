/**
 * What raw connections are measured with: the target of our own, PostgreSQL and Redis, and the clients of these two.
 *
 * @module
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { startPostgres, startRedis } from "../support/databases.ts";
import { bunBinary, type ProcessGroup, ROOT } from "../support/processes.ts";
import { findBinary } from "../support/services.ts";
import { BULK_BYTES } from "./tcp_target.ts";

/** A target that takes raw connections. */
export type RawService = "target" | "postgres" | "redis";

/** The size of the tables that pgbench makes: 100,000 rows for each. */
const SCALE = 5;

const CLIENTS = { postgres: 8, redis: 50 } as const;

const REDIS_REQUESTS_A_SECOND = 25_000;

/** The clients of a server live in a folder of their own on Debian. */
function clientBinary(name: string): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root) : [];
  const paths = [findBinary(name), ...versions.map((version) => join(root, version, "bin", name))];
  const found = paths.find((path) => path !== undefined && existsSync(path));
  if (found !== undefined) return found;
  const packages = name === "pgbench" ? "postgresql postgresql-contrib" : "redis-server redis-tools";
  throw new Error(`Cannot measure: ${name} is missing: apt-get install ${packages}`);
}

/** Starts a service and gives its address. */
export async function startService(group: ProcessGroup, service: RawService): Promise<string> {
  if (service === "target") {
    const { tcp } = await group.start([bunBinary(), join(ROOT, "test", "bench", "tcp_target.ts")]).ready;
    if (tcp === undefined) throw new Error("Cannot start the target: it printed no address");
    return tcp;
  }
  if (service === "redis") {
    clientBinary("redis-benchmark");
    return `127.0.0.1:${(await startRedis(group)).port}`;
  }
  const pgbench = clientBinary("pgbench");
  const { port } = await startPostgres(group);
  const make = ["-i", "-q", "-s", String(SCALE), "-h", "127.0.0.1", "-p", String(port), "-U", "postgres"];
  await group.run([pgbench, ...make, "postgres"]);
  return `127.0.0.1:${port}`;
}

const split = (address: string): [string, string] => {
  const colon = address.lastIndexOf(":");
  return [address.slice(0, colon), address.slice(colon + 1)];
};

/** Runs the load of our own and gives what it found. */
async function load(
  group: ProcessGroup,
  ...args: readonly string[]
): Promise<Readonly<Record<string, number>>> {
  const text = await group.run([bunBinary(), join(ROOT, "test", "bench", "tcp_load.ts"), ...args]);
  return JSON.parse(text) as Record<string, number>;
}

/** Round trips of 1 KiB per second. */
export async function echo(
  group: ProcessGroup,
  address: string,
  connections: number,
  seconds: number,
): Promise<number> {
  const { perSecond } = await load(group, "echo", address, String(connections), String(seconds));
  if (perSecond === undefined || perSecond <= 0) {
    throw new Error(`Cannot measure ${address}: nothing was echoed`);
  }
  return perSecond;
}

/** One stream of 1 GiB: megabytes (10^6) per second. */
export async function bulk(group: ProcessGroup, direction: "down" | "up", address: string): Promise<number> {
  const { bytes, seconds } = await load(group, direction, address);
  if (bytes !== BULK_BYTES || seconds === undefined) {
    throw new Error(`Cannot measure ${address}: ${bytes} bytes arrived of ${BULK_BYTES}`);
  }
  return bytes / 1e6 / seconds;
}

/** What a report holds, as a number. */
function find(text: string, pattern: RegExp): number {
  const found = text.match(pattern)?.[1];
  if (found === undefined) throw new Error(`Cannot read the report: nothing matches ${pattern}:\n${text}`);
  return Number(found);
}

/** Transactions per second of `pgbench -S`, eight clients. */
export async function pgbench(group: ProcessGroup, address: string, seconds: number): Promise<number> {
  const [host, port] = split(address);
  const options = ["-S", "-n", "-c", String(CLIENTS.postgres), "-j", "1", "-T", String(seconds)];
  const at = ["-h", host, "-p", port, "-U", "postgres", "postgres"];
  const text = await group.run([clientBinary("pgbench"), ...options, ...at]);
  const failed = text.match(/number of failed transactions: (\d+)/)?.[1] ?? "0";
  if (failed !== "0") throw new Error(`Cannot measure ${address}: ${failed} transactions failed`);
  return find(text, /^tps = ([\d.]+)/m);
}

/** GETs per second of `redis-benchmark`, fifty clients. */
export async function redis(group: ProcessGroup, address: string, seconds: number): Promise<number> {
  const [host, port] = split(address);
  const count = String(REDIS_REQUESTS_A_SECOND * seconds);
  const options = ["-t", "get", "-c", String(CLIENTS.redis), "-n", count, "--csv"];
  const text = await group.run([clientBinary("redis-benchmark"), "-h", host, "-p", port, ...options]);
  return find(text, /^"GET","([\d.]+)"/m);
}
