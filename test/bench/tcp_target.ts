/**
 * A target without HTTP: the first byte of a connection says whether it echoes, sends or takes bytes.
 *
 * `E` echoes all that follows. `D` sends `BULK_BYTES` and ends. `U` takes bytes until their end and answers with how
 * many there were, as text.
 *
 * @module
 */
import { createServer, type Socket } from "node:net";
import process from "node:process";

/** Of one download or upload. */
export const BULK_BYTES = 1 << 30;

/** What is written at once. */
const PIECE = new Uint8Array(256 * 1024);

function echo(socket: Socket, first: Uint8Array): void {
  const back = (chunk: Uint8Array): void => {
    if (!socket.write(chunk)) socket.pause();
  };
  socket.on("data", back);
  socket.on("drain", () => socket.resume());
  socket.on("end", () => socket.end());
  if (first.length > 0) back(first);
}

function send(socket: Socket): void {
  let left = BULK_BYTES;
  const write = (): void => {
    while (left > 0) {
      left -= PIECE.length;
      if (!socket.write(PIECE)) return;
    }
    socket.end();
  };
  socket.on("drain", write);
  socket.resume();
  write();
}

function take(socket: Socket, first: Uint8Array): void {
  let bytes = first.length;
  socket.on("data", (chunk: Uint8Array) => bytes += chunk.length);
  socket.on("end", () => socket.end(String(bytes)));
}

function serve(socket: Socket): void {
  // A connection that was cut is seen by the program that measures.
  socket.on("error", () => socket.destroy());
  socket.once("data", (chunk: Uint8Array) => {
    const rest = chunk.subarray(1);
    const kind = String.fromCharCode(chunk[0] ?? 0);
    if (kind === "E") echo(socket, rest);
    else if (kind === "D") send(socket);
    else if (kind === "U") take(socket, rest);
    else socket.destroy();
  });
}

if (import.meta.main) {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, serve);
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address === null || typeof address !== "object") throw new Error("The listener has no address");
    process.stdout.write(`ready {"tcp":"127.0.0.1:${address.port}"}\n`);
  });
  process.on("SIGTERM", () => process.exit(0));
}
