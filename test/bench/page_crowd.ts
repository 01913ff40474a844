/**
 * A crowd of workloads for the page to show: each a real link of its own, with a token, all in this process.
 *
 * What they do is real traffic: visitors' requests to each, calls of each other, and calls of hosts outside that
 * nothing listens at. They answer at once and with nothing, so that the gateway and the page are what is busy.
 *
 * @module
 */
import { Agent, request } from "node:http";
import { mint } from "../../lib/admin/token_commands.ts";
import { dialLink } from "../../lib/link/dial.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import type { Stream, StreamSink } from "../../lib/mux/stream.ts";
import { encodeFields, encodeResponseHead } from "../../lib/wire/head.ts";
import type { OpenPayload } from "../../lib/wire/open.ts";

/** Workloads of one namespace. */
export const NAMESPACE_SIZE = 10;
/** Every service is below it, by its name. */
export const DOMAIN = "wall.test";
/** Hosts outside that workloads call, each another address of loopback; the gateway has to be told that it may. */
const OUTSIDE_HOSTS = 12;
const OUTSIDE_PORT = 9;
export const OUTSIDE_RULE = `127.0.0.0/8:${OUTSIDE_PORT}`;

const TOKEN_MS = 24 * 3_600_000;
const SESSION_WINDOW_BYTES = 1 << 20;
/** Exchanges at once: more would only wait in the gateway. */
const AT_ONCE_MAX = 32;

const EMPTY_ANSWER = encodeResponseHead({ status: 204, reason: "No Content", fields: [] });
const STANDS = encodeFields([]);

/** One edge of the map to be. */
export type Call =
  | { readonly kind: "visit"; readonly to: number }
  | { readonly kind: "call"; readonly from: number; readonly to: number }
  | { readonly kind: "outside"; readonly from: number; readonly host: number };

export interface CrowdOptions {
  /** The data directory of the gateway: tokens are minted with its key. */
  readonly data: string;
  /** Where it takes visitors and links, at 127.0.0.1. */
  readonly port: number;
}

export class Crowd {
  readonly #options: CrowdOptions;
  readonly #sessions: Session[] = [];
  readonly #budget = new MemoryBudget(256 << 20, false);
  readonly #visitors = new Agent({ keepAlive: true, maxSockets: AT_ONCE_MAX });
  #isClosed = false;

  constructor(options: CrowdOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#sessions.length;
  }

  /** Links more workloads, until there are so many. */
  async grow(size: number): Promise<void> {
    while (this.#sessions.length < size) this.#sessions.push(await this.#link(this.#sessions.length));
  }

  /**
   * The edges that they have: one from outside to each, a twentieth to hosts outside, the rest among each other, most
   * of them within a namespace.
   */
  calls(edges: number): Call[] {
    const calls: Call[] = Array.from({ length: this.size }, (_, to) => ({ kind: "visit", to }));
    for (let index = 0; index < edges / 20; index++) {
      calls.push({ kind: "outside", from: index % this.size, host: index % OUTSIDE_HOSTS });
    }
    for (let round = 1; calls.length < edges; round++) {
      for (let from = 0; from < this.size && calls.length < edges; from++) {
        const first = from - from % NAMESPACE_SIZE;
        const near = first + (from + round) % NAMESPACE_SIZE;
        const to = round % 3 === 0 ? (from + round * 17) % this.size : near % this.size;
        if (to !== from) calls.push({ kind: "call", from, to });
      }
    }
    return calls;
  }

  /** Does all of it, some at once, and waits until it is done, whatever becomes of each. */
  async run(calls: readonly Call[]): Promise<void> {
    const left = [...calls].reverse();
    const some = async (): Promise<void> => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) await this.#do(next);
    };
    await Promise.all(Array.from({ length: AT_ONCE_MAX }, some));
  }

  /** A request of a visitor. @param address Who the gateway is told it comes from. */
  visit(to: number, path: string, address: string): Promise<void> {
    const { port } = this.#options;
    const headers = { Host: `${webOf(to)}.${DOMAIN}`, "X-Forwarded-For": address };
    return new Promise((resolve) => {
      const outgoing = request({ agent: this.#visitors, host: "127.0.0.1", port, path, headers });
      outgoing.on("response", (answer) => answer.resume().on("close", resolve));
      outgoing.on("error", () => resolve());
      outgoing.end();
    });
  }

  close(): void {
    this.#isClosed = true;
    for (const session of this.#sessions) session.close("none", "The crowd goes home");
    this.#visitors.destroy();
  }

  #do(call: Call): Promise<void> {
    if (call.kind === "visit") return this.visit(call.to, "/", "192.0.2.1");
    if (call.kind === "call") return this.#open(call.from, "tcp", rawOf(call.to), STANDS);
    const fields = ["host", `127.0.0.${call.host + 2}`, "port", String(OUTSIDE_PORT)];
    return this.#open(call.from, "egress", "", encodeFields(fields));
  }

  /** Opens a connection and ends it. */
  #open(from: number, kind: "tcp" | "egress", service: string, head: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      const stream = this.#sessions[from]!.openStream(kind, service, head, true, new Ended(resolve));
      if (stream === undefined) resolve();
    });
  }

  async #link(index: number): Promise<Session> {
    const { data, port } = this.#options;
    const namespace = `team-${pad(Math.floor(index / NAMESPACE_SIZE))}`;
    const serve = [webOf(index), rawOf(index)];
    const token = await mint({
      ...{ data, name: `agent-${pad(index)}`, serve, reach: ["*"], egress: true },
      ...{ namespace, image: `acme/app-${pad(index)}:1.0`, ttlMs: TOKEN_MS },
    }, Date.now());
    const gateway = { kind: "tcp", secure: false, host: "127.0.0.1", port, path: "/.netwall/link" } as const;
    const link = await dialLink({ gateway, token });
    return await new Promise<Session>((resolve, reject) => {
      const session: Session = new Session(link, {
        role: "agent",
        helloFields: ["services", serve.join(","), "tcp", rawOf(index), "hostname", `host-${pad(index)}`],
        streamsMax: 1024,
        sessionWindowBytes: SESSION_WINDOW_BYTES,
        budget: this.#budget,
        onReady: () => resolve(session),
        onOpen: answer,
        onGoAway: () => {},
        onClose: ({ message }) => {
          if (!this.#isClosed) reject(new Error(`Cannot keep workload ${index} linked: ${message}`));
        },
      });
      session.start();
    });
  }
}

/** Answers a request with nothing, and takes a connection to end it. */
function answer(stream: Stream, { kind }: OpenPayload): void {
  stream.attach(new Ended(() => {}));
  if (kind === "http") return void stream.sendHead(EMPTY_ANSWER, undefined, true);
  stream.sendHead(STANDS);
  stream.end();
}

/** Takes nothing but the end. */
class Ended implements StreamSink {
  readonly #onEnd: () => void;

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd;
  }

  onHead(_head: Uint8Array, _body: Uint8Array, end: boolean): void {
    if (end) this.#onEnd();
  }

  onData(_chunk: Uint8Array, end: boolean): void {
    if (end) this.#onEnd();
  }

  onEnd(): void {
    this.#onEnd();
  }

  onDrain(): void {}

  onReset(): void {
    this.#onEnd();
  }
}

const pad = (index: number): string => String(index).padStart(3, "0");
const webOf = (index: number): string => `web-${pad(index)}`;
const rawOf = (index: number): string => `raw-${pad(index)}`;
