/**
 * Measures the processor time of one small request: this project's client against the runtime's own and a bare socket.
 *
 * Usage: `bun test/bench/target_client.ts [SECONDS]` or `deno run -A test/bench/target_client.ts [SECONDS]`. It needs
 * nginx. 32 requests of 1 KiB run at a time; rounds of the clients take turns, and the median round counts.
 *
 * @module
 */
import http from "node:http";
import net from "node:net";
import process from "node:process";
import { TargetClient } from "../../lib/http/target_client.ts";
import { startNginx } from "../support/nginx.ts";

const CONCURRENCY = 32;
const ROUNDS = 5;
const BODY_BYTES = 1024;

/** Keeps `CONCURRENCY` requests going until `isOver` and resolves with their number. */
type Load = (port: number, isOver: () => boolean) => Promise<number>;

const FIELDS = [
  "Host",
  "127.0.0.1",
  "User-Agent",
  "bench",
  "Accept",
  "*/*",
  "X-Request-Id",
  "0123456789abcdef",
];

const targetClient: Load = (port, isOver) =>
  new Promise((resolve, reject) => {
    const client = new TargetClient({
      connect: () => net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }),
    });
    let count = 0;
    let running = CONCURRENCY;
    const next = (): void => {
      let bytes = 0;
      client.exchange({ method: "GET", target: "/1k", fields: FIELDS }, { hasBody: false }, {
        onInformational(): void {},
        onHead(_head, body): void {
          bytes += body?.length ?? 0;
        },
        onUpgrade(): void {},
        onBody(chunk): void {
          bytes += chunk.length;
        },
        onEnd(): void {
          if (bytes !== BODY_BYTES) return reject(new Error(`Cannot measure: the body has ${bytes} bytes`));
          count++;
          if (!isOver()) next();
          else if (--running === 0) {
            client.close();
            resolve(count);
          }
        },
        onDrain(): void {},
        onError: reject,
      });
    };
    for (let i = 0; i < CONCURRENCY; i++) next();
  });

const nodeHttp: Load = (port, isOver) =>
  new Promise((resolve, reject) => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: CONCURRENCY });
    let count = 0;
    let running = CONCURRENCY;
    const next = (): void => {
      const request = http.request(
        { port, host: "127.0.0.1", path: "/1k", agent, headers: FIELDS },
        (response) => {
          response.on("data", () => {});
          response.on("end", () => {
            count++;
            if (!isOver()) next();
            else if (--running === 0) {
              agent.destroy();
              resolve(count);
            }
          });
        },
      );
      request.on("error", reject);
      request.end();
    };
    for (let i = 0; i < CONCURRENCY; i++) next();
  });

/** The floor: the same bytes with no reading of them at all. */
const bareSocket: Load = (port, isOver) =>
  new Promise((resolve, reject) => {
    let text = "GET /1k HTTP/1.1\r\n";
    for (let i = 0; i < FIELDS.length; i += 2) text += `${FIELDS[i]}: ${FIELDS[i + 1]}\r\n`;
    text += "\r\n";
    let count = 0;
    let running = CONCURRENCY;
    for (let i = 0; i < CONCURRENCY; i++) {
      const socket = net.connect({ port, host: "127.0.0.1" }, () => socket.write(text, "latin1"));
      socket.setNoDelay(true);
      socket.on("error", reject);
      socket.on("data", () => {
        count++;
        if (!isOver()) return socket.write(text, "latin1");
        socket.destroy();
        if (--running === 0) resolve(count);
      });
    }
  });

async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? "2");
  const nginx = await startNginx({ "1k": "x".repeat(BODY_BYTES) });
  const loads: Record<string, Load> = {
    "target client": targetClient,
    "bare socket": bareSocket,
    "node:http": nodeHttp,
  };
  const costs = new Map<string, number[]>();
  const rates = new Map<string, number[]>();
  try {
    for (let round = -1; round < ROUNDS; round++) {
      for (const [name, load] of Object.entries(loads)) {
        const cpu = process.cpuUsage();
        const startedMs = performance.now();
        const count = await load(nginx.port, () => performance.now() - startedMs > seconds * 1000);
        const { user, system } = process.cpuUsage(cpu);
        if (round < 0) continue; // The first round warms up.
        costs.set(name, [...costs.get(name) ?? [], (user + system) / count]);
        rates.set(name, [...rates.get(name) ?? [], count / (performance.now() - startedMs) * 1000]);
      }
    }
  } finally {
    await nginx.stop();
  }
  for (const name of costs.keys()) {
    const cost = median(costs.get(name) ?? []).toFixed(1).padStart(6);
    const rate = median(rates.get(name) ?? []).toFixed(0).padStart(7);
    process.stdout.write(`${name.padEnd(14)} ${cost} µs CPU per request ${rate} requests/s\n`);
  }
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
}

await main();
