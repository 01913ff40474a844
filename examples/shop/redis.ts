/**
 * As much of Redis as the shop needs: a client, and a stand-in for machines that have no Redis.
 *
 * Source: the Redis serialization protocol, version 2.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";

/** Longer than any answer or question here. */
const TEXT_CHARS_MAX = 64 << 10;
const ANSWER_MS_MAX = 10_000;

export interface RedisClient {
  /** Sends a command. @returns What it answers as text; `null` for nothing. Rejects when the connection ends first. */
  ask(...words: string[]): Promise<string | null>;
  /** Settles when the connection is over, whoever ended it. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Speaks Redis on a connection. One question at a time. */
export function redis(socket: Duplex): RedisClient {
  let text = "";
  let waiting: PromiseWithResolvers<string | null> | undefined;
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  const fail = (message: string): void => {
    waiting?.reject(new Error(message));
    waiting = undefined;
  };
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    const answer = readAnswer(text);
    if (answer === undefined && text.length <= TEXT_CHARS_MAX) return;
    text = "";
    if (answer === undefined) fail("The answer of the database is too long");
    else if (answer.startsWith("-")) fail(answer.slice(1));
    else waiting?.resolve(answer === "$" ? null : answer.slice(1));
    waiting = undefined;
  });
  socket.on("error", (error) => fail(`The database cannot be reached: ${error.message}`));
  socket.on("close", () => {
    fail("The database ended the connection");
    onClosed();
  });
  socket.on("end", () => socket.end());
  socket.resume();
  return {
    closed,
    close: () => void socket.destroy(),
    async ask(...words): Promise<string | null> {
      if (socket.destroyed) throw new Error("The connection to the database is over");
      waiting = Promise.withResolvers();
      const timer = setTimeout(() => fail("The database does not answer"), ANSWER_MS_MAX);
      try {
        const answered = waiting.promise;
        socket.write(encode(words));
        return await answered;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function encode(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((each) => `$${Buffer.byteLength(each)}\r\n${each}\r\n`).join("")}`;
}

/** @returns The answer behind the mark of its kind, `$` alone for nothing; `undefined` while it is not whole. */
function readAnswer(text: string): string | undefined {
  const end = text.indexOf("\r\n");
  if (end < 0) return undefined;
  const [kind, rest] = [text[0]!, text.slice(1, end)];
  if (kind !== "$") return `${kind}${rest}`;
  if (rest === "-1") return "$";
  const value = Buffer.from(text.slice(end + 2), "utf8");
  return value.length < Number(rest) + 2 ? undefined : `=${value.subarray(0, Number(rest)).toString("utf8")}`;
}

/** A stand-in that knows PING, SET, GET and DBSIZE, and forgets all of it at the end. */
export function startStandIn(): Promise<Server> {
  const values = new Map<string, string>();
  const answer = ([command = "", key = "", value = ""]: string[]): string => {
    switch (command.toUpperCase()) {
      case "PING":
        return "+PONG\r\n";
      case "SET":
        values.set(key, value);
        return "+OK\r\n";
      case "DBSIZE":
        return `:${values.size}\r\n`;
      case "GET": {
        const found = values.get(key);
        return found === undefined ? "$-1\r\n" : `$${Buffer.byteLength(found)}\r\n${found}\r\n`;
      }
      default:
        return "-ERR unknown command\r\n";
    }
  };
  const server = createServer((socket: Socket) => {
    let bytes: Buffer = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length > TEXT_CHARS_MAX) return void socket.destroy();
      const words = readCommand(bytes);
      if (words === undefined) return;
      bytes = Buffer.alloc(0);
      socket.write(answer(words));
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** @returns The words of one command; `undefined` while it is not whole. */
function readCommand(bytes: Buffer): string[] | undefined {
  let at = 0;
  const number = (): number => {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return NaN;
    const value = Number(bytes.toString("latin1", at + 1, end));
    at = end + 2;
    return value;
  };
  const words: string[] = [];
  for (let left = number(); left > 0; left--) {
    const length = number();
    if (Number.isNaN(length) || bytes.length < at + length + 2) return undefined;
    words.push(bytes.toString("utf8", at, at + length));
    at += length + 2;
  }
  return words.length === 0 ? undefined : words;
}
