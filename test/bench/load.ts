/**
 * What puts load on a path and measures it: wrk, curl, parallel requests, readers that stall.
 *
 * Every measurement checks what came back: a path that answers errors quickly would win.
 *
 * @module
 */
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import type { ProcessGroup } from "../support/processes.ts";

/** What wrk says of one run. */
export interface Load {
  readonly requestsPerSecond: number;
  readonly medianUs: number;
  readonly p99Us: number;
}

const MICROSECONDS: Readonly<Record<string, number>> = { us: 1, ms: 1_000, s: 1_000_000, m: 60_000_000 };

/** A time as wrk prints it ("1.05ms"), in microseconds. */
function parseTime(text: string): number {
  const [, value, unit] = text.match(/^([\d.]+)(us|ms|s|m)$/) ?? [];
  if (value === undefined || unit === undefined) throw new Error(`Cannot read wrk's time "${text}"`);
  return Number(value) * (MICROSECONDS[unit] ?? NaN);
}

/**
 * Runs wrk with one thread.
 *
 * @throws {Error} When any answer was not 2xx or 3xx, or any connection failed.
 */
export async function wrk(
  group: ProcessGroup,
  url: string,
  connections: number,
  seconds: number,
): Promise<Load> {
  const options = ["-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "10s", "--latency"];
  const text = await group.run(["wrk", ...options, url]);
  const fault = text.match(/Non-2xx.*|Socket errors:.*/)?.[0];
  if (fault !== undefined) throw new Error(`Cannot measure ${url}: wrk reports "${fault}"`);
  const find = (pattern: RegExp): string => {
    const found = text.match(pattern)?.[1];
    if (found === undefined) {
      throw new Error(`Cannot read wrk's report: nothing matches ${pattern}:\n${text}`);
    }
    return found;
  };
  return {
    requestsPerSecond: Number(find(/Requests\/sec:\s+([\d.]+)/)),
    medianUs: parseTime(find(/^ +50% +(\S+)$/m)),
    p99Us: parseTime(find(/^ +99% +(\S+)$/m)),
  };
}

/** Downloads with curl and gives megabytes (10^6) per second. */
export async function download(group: ProcessGroup, url: string, bytes: number): Promise<number> {
  const format = "%{http_code} %{size_download} %{time_total}";
  const text = await group.run(["curl", "-sS", "-o", "/dev/null", "-w", format, url]);
  return rate(url, text, bytes);
}

/** Uploads a file with curl and gives megabytes per second. */
export async function upload(
  group: ProcessGroup,
  target: { readonly url: string; readonly host: string },
  file: string,
  bytes: number,
): Promise<number> {
  const format = "%{http_code} %{size_upload} %{time_total}\n";
  const headers = ["-H", "Expect:", "-H", `Host: ${target.host}`];
  const text = await group.run(["curl", "-sS", "-T", file, ...headers, "-w", `\n${format}`, target.url]);
  const [answer = "", report = ""] = text.trim().split("\n");
  if (answer !== JSON.stringify({ bytes })) {
    throw new Error(`Cannot measure ${target.url}: the sink says ${answer.slice(0, 200)}`);
  }
  return rate(target.url, report, bytes);
}

function rate(url: string, report: string, bytes: number): number {
  const [status, size, seconds] = report.trim().split(" ").map(Number);
  if (status !== 200 || size !== bytes || seconds === undefined) {
    throw new Error(`Cannot measure ${url}: status ${status}, ${size} bytes of ${bytes}`);
  }
  return bytes / 1e6 / seconds;
}

/** Fetches a URL once on a connection of its own and checks its size. */
function fetchOnce(url: string, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false }, (response) => {
      let received = 0;
      response.on("data", (chunk: Uint8Array) => received += chunk.byteLength);
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200 && received === bytes) resolve();
        else {reject(
            new Error(`Cannot fetch ${url}: status ${response.statusCode}, ${received} bytes of ${bytes}`),
          );}
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** Fetches a URL `count` times, all at once or one after the other, and gives the milliseconds until the last. */
export async function fetchMany(
  url: string,
  bytes: number,
  count: number,
  parallel: boolean,
): Promise<number> {
  const startMs = performance.now();
  if (parallel) await Promise.all(Array.from({ length: count }, () => fetchOnce(url, bytes)));
  else for (let index = 0; index < count; index += 1) await fetchOnce(url, bytes);
  return performance.now() - startMs;
}

/** Readers that asked for a body and read none of it after the head. */
export class StalledReaders {
  readonly #sockets: Socket[] = [];

  /** Opens `count` readers; settles once each has had the first bytes of its answer. */
  async open(url: string, count: number): Promise<void> {
    const { hostname, port, pathname, host } = new URL(url);
    const opened = Array.from({ length: count }, () =>
      new Promise<void>((resolve, reject) => {
        const socket = connect({ host: hostname, port: Number(port) });
        this.#sockets.push(socket);
        socket.on("error", reject);
        socket.on("close", () => reject(new Error(`Cannot stall: ${url} closed the connection`)));
        socket.once("data", (chunk: Uint8Array) => {
          socket.pause();
          const line = new TextDecoder().decode(chunk.subarray(0, 15));
          if (line.startsWith("HTTP/1.1 200")) resolve();
          else reject(new Error(`Cannot stall: ${url} answers "${line}"`));
        });
        socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      }));
    await Promise.all(opened);
  }

  close(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners("close");
      socket.destroy();
    }
  }
}
