/**
 * Load on `tcp_target.ts` through a path; prints one line of JSON.
 *
 * Arguments: `echo HOST:PORT CONNECTIONS SECONDS` gives `{"perSecond":…}`, round trips of 1 KiB of all connections
 * together; `down HOST:PORT` and `up HOST:PORT` give `{"bytes":…,"seconds":…}`. What comes back is checked in full
 * for its length, and for its content at the ends of each round trip.
 *
 * @module
 */
import { connect, type Socket } from "node:net";
import process from "node:process";
import { BULK_BYTES } from "./tcp_target.ts";

const ECHO_BYTES = 1024;

function dial(address: string): Socket {
  const [host = "", portText = ""] = address.split(":");
  const socket = connect({ host, port: Number(portText), allowHalfOpen: true, noDelay: true });
  socket.on("error", (error) => fail(error.message));
  return socket;
}

function fail(message: string): never {
  process.stderr.write(`Cannot measure: ${message}\n`);
  process.exit(1);
}

/** One connection that asks again as soon as its answer is whole. */
function converse(address: string, count: { trips: number }): Socket {
  const socket = dial(address);
  const question = new Uint8Array(ECHO_BYTES);
  let received = 0;
  let turn = 0;
  const ask = (): void => {
    turn = (turn + 1) & 0xff;
    question[0] = turn;
    question[ECHO_BYTES - 1] = turn;
    // A copy: what was written may leave later, when the next question stands here.
    socket.write(question.slice());
  };
  socket.on("data", (chunk: Uint8Array) => {
    if (received === 0 && chunk[0] !== turn) fail("an echo has wrong bytes");
    received += chunk.length;
    if (received < ECHO_BYTES) return;
    if (received > ECHO_BYTES || chunk[chunk.length - 1] !== turn) fail("an echo has wrong bytes");
    received = 0;
    count.trips += 1;
    ask();
  });
  socket.on("end", () => fail("a connection was closed"));
  socket.write("E");
  ask();
  return socket;
}

function echo(address: string, connections: number, seconds: number): void {
  const count = { trips: 0 };
  for (let index = 0; index < connections; index += 1) converse(address, count);
  // The first second is for connections and hot code.
  setTimeout(() => {
    const [trips, startMs] = [count.trips, performance.now()];
    setTimeout(() => {
      const perSecond = (count.trips - trips) / ((performance.now() - startMs) / 1000);
      finish({ perSecond });
    }, seconds * 1000);
  }, 1000);
}

function down(address: string): void {
  const startMs = performance.now();
  const socket = dial(address);
  let bytes = 0;
  socket.on("data", (chunk: Uint8Array) => bytes += chunk.length);
  socket.on("end", () => finish({ bytes, seconds: (performance.now() - startMs) / 1000 }));
  socket.write("D");
}

function up(address: string): void {
  const startMs = performance.now();
  const socket = dial(address);
  const piece = new Uint8Array(256 * 1024);
  let left = BULK_BYTES;
  const write = (): void => {
    while (left > 0) {
      left -= piece.length;
      if (!socket.write(piece)) return;
    }
    socket.end();
  };
  let answer = "";
  socket.on("data", (chunk: Uint8Array) => answer += new TextDecoder().decode(chunk));
  socket.on("end", () => finish({ bytes: Number(answer), seconds: (performance.now() - startMs) / 1000 }));
  socket.on("drain", write);
  socket.write("U");
  write();
}

function finish(result: Record<string, number>): void {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

const [kind = "", address = "", connections = "1", seconds = "1"] = process.argv.slice(2);
if (kind === "echo") echo(address, Number(connections), Number(seconds));
else if (kind === "down") down(address);
else if (kind === "up") up(address);
else fail(`there is no load "${kind}"`);
