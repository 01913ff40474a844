/**
 * A database in miniature for the sample: as much of Redis as it needs, on a unix socket, and what asks it.
 *
 * It takes the commands GET, SET and PING in a line each and knows a fixed number of customers. What is set is
 * forgotten at the end, and the oldest of it before that.
 *
 * Source: the Redis serialization protocol, version 2, "Inline commands", "Bulk strings".
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { connect, createServer, type Socket } from "node:net";

/** Customers in the database, from 1. */
export const CUSTOMERS = 60;

/** A command or an answer has under 100; what is longer is neither. */
const LINE_CHARS_MAX = 1024;
/** Values that were set; the oldest go first. */
const VALUES_MAX = 1_000;
const CONNECTIONS_MAX = 64;
/** For a connection to say something: each is used once and closed. */
const IDLE_MS_MAX = 10_000;
const ANSWER_MS_MAX = 10_000;

/** A database that runs. */
export interface Database {
  /** Takes no more connections, and ends those that are open. */
  close(): void;
}

/** Starts it. Rejects when the socket cannot be had. @param path Of the socket. */
export function startDatabase(path: string): Promise<Database> {
  /** What was set. */
  const values = new Map<string, string>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (sockets.size >= CONNECTIONS_MAX) return void socket.destroy();
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, values);
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () =>
      resolve({
        close: () => {
          server.close();
          for (const socket of sockets) socket.destroy();
        },
      }));
  });
}

function serve(socket: Socket, values: Map<string, string>): void {
  let text = "";
  socket.on("error", () => {});
  socket.setTimeout(IDLE_MS_MAX, () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      const words = text.slice(0, end).trim().split(" ");
      text = text.slice(end + 1);
      socket.write(answerTo(words, values));
    }
    if (text.length > LINE_CHARS_MAX) socket.destroy();
  });
}

function answerTo(
  [command = "", key = "", ...value]: readonly string[],
  values: Map<string, string>,
): string {
  switch (command.toUpperCase()) {
    case "PING":
      return "+PONG\r\n";
    case "GET": {
      const found = values.get(key) ?? customerAt(key);
      return found === undefined ? "$-1\r\n" : `$${Buffer.byteLength(found)}\r\n${found}\r\n`;
    }
    case "SET":
      values.set(key, value.join(" "));
      for (const oldest of values.keys()) {
        if (values.size <= VALUES_MAX) break;
        values.delete(oldest);
      }
      return "+OK\r\n";
    default:
      return "-ERR unknown command\r\n";
  }
}

function customerAt(key: string): string | undefined {
  const id = Number(/^user:([1-9]\d{0,5})$/.exec(key)?.[1] ?? 0);
  return id >= 1 && id <= CUSTOMERS ? `Customer ${id}` : undefined;
}

/**
 * Sends one command by the socket that leads to a database, on a connection of its own.
 *
 * @param command Without its end of line.
 * @returns What it answers as text, `undefined` for nothing. Rejects when the connection ends first, or after 10 s.
 */
export function askDatabase(path: string, command: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    const fail = (why: string): void => void socket.destroy(new Error(`Cannot ask the database: ${why}`));
    const timer = setTimeout(() => fail("no answer in time"), ANSWER_MS_MAX);
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const answer = readAnswer(text);
      if (answer === undefined) {
        if (text.length > LINE_CHARS_MAX) fail("the answer is too long");
        return;
      }
      if (answer.kind === "-") return fail(answer.text);
      resolve(answer.text);
      socket.end();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      clearTimeout(timer);
      // Of no effect after an answer.
      reject(new Error("Cannot ask the database: it ended the connection"));
    });
    socket.write(`${command}\r\n`);
  });
}

/** @returns `undefined` while it is not whole; a text that is `undefined` is the answer that there is nothing. */
function readAnswer(text: string): { kind: "-"; text: string } | { kind: "+"; text?: string } | undefined {
  const end = text.indexOf("\r\n");
  if (end < 0) return undefined;
  const [mark, line] = [text[0], text.slice(1, end)];
  if (mark === "-") return { kind: "-", text: line };
  if (mark !== "$") return { kind: "+", text: line };
  if (line === "-1") return { kind: "+" };
  const value = text.slice(end + 2, end + 2 + Number(line));
  return text.length < end + 4 + Number(line) ? undefined : { kind: "+", text: value };
}
