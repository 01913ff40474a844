/**
 * A TCP relay that delivers every byte a fixed time after it came, as a long line does.
 *
 * It adds delay and nothing else: no limit of throughput, and a chunk never waits for an earlier one longer than
 * the delay. The handshake itself is not delayed, which is one round trip in favour of whoever opens connections.
 * Arguments: HOST:PORT to relay to, and the one-way delay in milliseconds.
 *
 * @module
 */
import { connect, createServer, type Socket } from "node:net";
import process from "node:process";

/** Bytes on the line per direction. At 50 ms that is 2.5 GB/s: far above what any path here carries. */
const LINE_BYTES_MAX = 128 << 20;

/** Copies one direction, late. */
function delay(from: Socket, to: Socket, delayMs: number): void {
  const line: { dueMs: number; chunk: Uint8Array | undefined }[] = [];
  let lineBytes = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const deliver = (): void => {
    timer = undefined;
    for (let next = line[0]; next !== undefined && next.dueMs <= performance.now(); next = line[0]) {
      line.shift();
      if (next.chunk === undefined) {
        to.end();
        continue;
      }
      lineBytes -= next.chunk.byteLength;
      to.write(next.chunk);
    }
    if (lineBytes + to.writableLength < LINE_BYTES_MAX) from.resume();
    const first = line[0];
    if (first !== undefined) timer = setTimeout(deliver, Math.max(0, first.dueMs - performance.now()));
  };
  const add = (chunk: Uint8Array | undefined): void => {
    line.push({ dueMs: performance.now() + delayMs, chunk });
    lineBytes += chunk?.byteLength ?? 0;
    if (lineBytes + to.writableLength >= LINE_BYTES_MAX) from.pause();
    timer ??= setTimeout(deliver, delayMs);
  };
  from.on("data", add);
  from.on("end", () => add(undefined));
  to.on("drain", () => {
    if (lineBytes + to.writableLength < LINE_BYTES_MAX) from.resume();
  });
}

const [target = "", delayText = ""] = process.argv.slice(2);
const [host = "", portText = ""] = target.split(":");
const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
  const far = connect({ host, port: Number(portText), allowHalfOpen: true, noDelay: true });
  for (const [socket, other] of [[near, far], [far, near]] as const) {
    socket.on("error", () => other.destroy());
    socket.on("close", () => other.destroySoon());
  }
  delay(near, far, Number(delayText));
  delay(far, near, Number(delayText));
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address !== "object") throw new Error("The listener has no address");
  process.stdout.write(`ready {"tcp":"127.0.0.1:${address.port}"}\n`);
});
process.on("SIGTERM", () => process.exit(0));
