/**
 * One visit of each kind: made, checked byte by byte, and told in one word how it went.
 *
 * Every visit ends: one that makes no progress for `HUNG_MS` is cut off and counts as hung, the one outcome that
 * nothing excuses, besides bytes that are wrong.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import net from "node:net";
import { WebSocket } from "ws";
import { isPayload, payload } from "./payload.ts";

/**
 * No progress for this long is a hang: 25 s until a dead link is noticed and 10 s on a busy machine. What waits for a
 * gateway that noticed has its answer at once.
 */
export const HUNG_MS = 35_000;

/**
 * How a visit went: whole and right, a status of the gateway's, cut off, turned away by the gateway's own port, hung,
 * or with wrong bytes.
 */
export type Outcome =
  | "ok"
  | "502"
  | "503"
  | "504"
  | "cut"
  | "refused"
  | "hung"
  | "wrong"
  | `status ${number}`;

/** Where visitors go. */
export interface Doors {
  readonly host: string;
  readonly httpPort: number;
  readonly tcpPort: number;
  /** @default HUNG_MS */
  readonly hungMs?: number;
}

/** A visit that goes on. */
export interface Visit {
  readonly outcome: Promise<Outcome>;
  /** Ends it as hung: it should have been over. */
  giveUp(): void;
}

/** How much, and how fast. */
export interface Amount {
  readonly seed: number;
  readonly bytes: number;
  /** @default as fast as it goes */
  readonly perSecond?: number;
}

/** How often a paced sender goes on. */
const STEP_MS = 50;

/** What every visit is made of: one end, told once, and a watch over its progress. */
class Course {
  readonly outcome: Promise<Outcome>;
  #settle!: (outcome: Outcome) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #cleanUp: () => void = () => {};
  readonly #hungMs: number;
  isOver = false;

  constructor({ hungMs = HUNG_MS }: Doors) {
    this.#hungMs = hungMs;
    this.outcome = new Promise((resolve) => this.#settle = resolve);
    this.progress();
  }

  set cleanUp(cleanUp: () => void) {
    this.#cleanUp = cleanUp;
  }

  progress(): void {
    clearTimeout(this.#timer);
    if (!this.isOver) this.#timer = setTimeout(() => this.end("hung"), this.#hungMs);
  }

  end(outcome: Outcome): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.#timer);
    this.#settle(outcome);
    this.#cleanUp();
  }

  visit(): Visit {
    return { outcome: this.outcome, giveUp: () => this.end("hung") };
  }
}

function ofStatus(status: number): Outcome {
  return status === 502 || status === 503 || status === 504 ? `${status}` : `status ${status}`;
}

function ofError(error: Error): Outcome {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ECONNREFUSED" || code === "ConnectionRefused" ? "refused" : "cut";
}

function requestTo(doors: Doors, course: Course, method: string, path: string): ClientRequest {
  const request = http.request({ host: doors.host, port: doors.httpPort, method, path, agent: false });
  course.cleanUp = () => request.destroy();
  request.on("error", (error) => course.end(ofError(error)));
  return request;
}

/** Reads an answer to its end and hands over every chunk; an answer that is cut ends the visit. */
function read(
  response: IncomingMessage,
  course: Course,
  onChunk: (chunk: Buffer) => void,
  onEnd: () => void,
): void {
  response.on("error", () => course.end("cut"));
  response.on("close", () => course.end("cut"));
  response.on("data", (chunk: Buffer) => {
    course.progress();
    onChunk(chunk);
  });
  response.on("end", () => response.complete ? onEnd() : course.end("cut"));
}

/** Gets known bytes. */
export function download(doors: Doors, { seed, bytes, perSecond = 0 }: Amount): Visit {
  const course = new Course(doors);
  const path = `/bytes?seed=${seed}&bytes=${bytes}&perSecond=${perSecond}`;
  const request = requestTo(doors, course, "GET", path);
  request.on("response", (response) => {
    course.progress();
    if (response.statusCode !== 200) return course.end(ofStatus(response.statusCode ?? 0));
    let offset = 0;
    read(response, course, (chunk) => {
      if (!isPayload(seed, offset, chunk)) course.end("wrong");
      offset += chunk.length;
    }, () => course.end(offset === bytes ? "ok" : "wrong"));
  });
  request.end();
  return course.visit();
}

/** Sends known bytes and compares the digest that comes back. */
export function upload(doors: Doors, { seed, bytes, perSecond = 0 }: Amount): Visit {
  const course = new Course(doors);
  const request = requestTo(doors, course, "POST", "/digest");
  request.setHeader("content-length", bytes);
  const hash = createHash("sha256");
  request.on("response", (response) => {
    course.progress();
    if (response.statusCode !== 200) return course.end(ofStatus(response.statusCode ?? 0));
    let text = "";
    read(response, course, (chunk) => text += chunk.toString("latin1"), () => {
      course.end(offset === bytes && text === hash.digest("hex") ? "ok" : "wrong");
    });
  });
  const stepBytes = perSecond > 0 ? Math.ceil(perSecond * STEP_MS / 1000) : 64 * 1024;
  let offset = 0;
  const step = (): void => {
    if (course.isOver) return;
    if (offset >= bytes) return void request.end();
    const chunk = payload(seed, offset, Math.min(stepBytes, bytes - offset));
    offset += chunk.length;
    hash.update(chunk);
    const next = (): void => {
      course.progress();
      setTimeout(step, perSecond > 0 ? STEP_MS : 0);
    };
    if (request.write(chunk)) next();
    else request.once("drain", next);
  };
  step();
  return course.visit();
}

/** Sends numbered messages over a WebSocket, each after the echo of the one before, then closes it. */
export function talk(doors: Doors, { seed, bytes }: Amount, messages: number, pauseMs: number): Visit {
  const course = new Course(doors);
  const socket = new WebSocket(`ws://${doors.host}:${doors.httpPort}/talk`, { perMessageDeflate: false });
  course.cleanUp = () => socket.terminate();
  let count = 0;
  const send = (): void => {
    if (!course.isOver && socket.readyState === WebSocket.OPEN) {
      socket.send(payload(seed, count * bytes, bytes));
    }
  };
  socket.on("open", send);
  socket.on("message", (data: Buffer) => {
    course.progress();
    if (data.length !== bytes || !isPayload(seed, count * bytes, data)) return course.end("wrong");
    count += 1;
    if (count < messages) setTimeout(send, pauseMs);
    else socket.close(1000);
  });
  socket.on("close", (code) => course.end(code === 1000 && count === messages ? "ok" : "cut"));
  socket.on("error", (error) => {
    // The status of a refused upgrade is in the words only.
    const status = /\b([45]\d\d)\b/.exec(error.message)?.[1];
    course.end(status === undefined ? ofError(error) : ofStatus(Number(status)));
  });
  return course.visit();
}

/** Sends a stream of known bytes to a raw echo, reads all of it back, and ends each direction by itself. */
export function echo(doors: Doors, { seed, bytes, perSecond = 1 << 20 }: Amount): Visit {
  const course = new Course(doors);
  const socket = net.connect({ host: doors.host, port: doors.tcpPort, allowHalfOpen: true });
  course.cleanUp = () => socket.destroy();
  const stepBytes = Math.ceil(perSecond * STEP_MS / 1000);
  let [sent, received] = [0, 0];
  const step = (): void => {
    if (course.isOver) return;
    if (sent >= bytes) return void socket.end();
    const chunk = payload(seed, sent, Math.min(stepBytes, bytes - sent));
    sent += chunk.length;
    if (socket.write(chunk)) setTimeout(step, STEP_MS);
    else socket.once("drain", () => setTimeout(step, STEP_MS));
  };
  socket.on("connect", step);
  socket.on("data", (chunk: Buffer) => {
    course.progress();
    if (!isPayload(seed, received, chunk)) return course.end("wrong");
    received += chunk.length;
  });
  // A connection that ends early is cut, however politely: whoever echoes ends after the last byte only.
  socket.on("end", () => course.end(received === bytes ? "ok" : "cut"));
  socket.on("close", () => course.end("cut"));
  socket.on("error", (error) => course.end(ofError(error)));
  return course.visit();
}

/** A raw connection that says nothing until it is asked whether it still works. */
export class IdleConnection {
  readonly #socket: net.Socket;
  #isClosed = false;

  constructor(doors: Doors) {
    this.#socket = net.connect({ host: doors.host, port: doors.tcpPort });
    const close = (): void => void (this.#isClosed = true);
    this.#socket.on("error", close).on("end", close).on("close", close);
  }

  /** Echoes still, or was closed; what is open and does not echo hangs. */
  async ask(timeoutMs: number): Promise<Outcome> {
    if (this.#isClosed) return "cut";
    const outcome = await new Promise<Outcome>((resolve) => {
      const timer = setTimeout(() => resolve("hung"), timeoutMs);
      const tell = (outcome: Outcome): void => {
        clearTimeout(timer);
        resolve(outcome);
      };
      this.#socket.once("data", (chunk) => tell(chunk.toString("latin1") === "?" ? "ok" : "wrong"));
      this.#socket.once("close", () => tell("cut"));
      this.#socket.write("?");
    });
    this.#socket.destroy();
    return outcome;
  }
}
