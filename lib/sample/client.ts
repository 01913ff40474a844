/**
 * Sends HTTP requests, to an address or by a unix socket, and reads their answers.
 *
 * Connections are kept for the next request: making them anew was measured at half of all that the sample costs.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Agent, type ClientRequest, request } from "node:http";

/** What is read of an answer: the largest one here has under 4 KiB. */
const ANSWER_BYTES_MAX = 64 << 10;
/** The slowest answer here takes 0.3 s; a request that policy holds up must not stay forever. */
const ASK_MS_MAX = 10_000;
/** To one address: requests wait for one of these. */
const CONNECTIONS_MAX = 32;
/** Of these, kept without a request. */
const CONNECTIONS_KEPT_MAX = 4;

/** A request, and where it goes. It may be sent twice, so it must do no harm when it is. */
export interface Question {
  readonly at: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  readonly method: string;
  /** A path, or for a proxy a whole URL. */
  readonly path: string;
  /** The value of the Host header. */
  readonly authority: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent with this content type. */
  readonly body?: { readonly type: string; readonly text: string };
  /** For an answer without end: leave this long after its head. @default at its end */
  readonly leaveAfterMs?: number;
}

/** An answer, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Asks, for the visitors or the programs of the sample. */
export class Client {
  readonly #agent = new Agent({
    ...{ keepAlive: true, maxSockets: CONNECTIONS_MAX, maxFreeSockets: CONNECTIONS_KEPT_MAX },
  });
  readonly #open = new Set<ClientRequest>();
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  /** Asks. Rejects when there is no whole answer: nobody there, cut off, too long, or not within 10 s. */
  async ask(question: Question): Promise<Answer> {
    if (this.#isClosed) throw new Error("Cannot ask: the client is closed");
    const first = await this.#attempt(question, this.#agent);
    // A connection that was kept may be closed by its other end just when it is used again.
    const isLost = first === "stale" && !this.#isClosed;
    const outcome = isLost ? await this.#attempt(question, false) : first;
    if (outcome instanceof Error) throw outcome;
    if (outcome === "stale") throw new Error("Cannot ask: the connection was lost");
    return outcome;
  }

  /**
   * Waits for what is under way, then ends the rest and the connections that were kept. Whatever is asked after that
   * rejects.
   */
  async close(graceMs: number): Promise<void> {
    if (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        this.#onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#isClosed = true;
    for (const outgoing of this.#open) outgoing.destroy();
    this.#agent.destroy();
  }

  #attempt(question: Question, agent: Agent | false): Promise<Answer | Error | "stale"> {
    const { at, method, path, body, leaveAfterMs } = question;
    return new Promise((resolve) => {
      const outgoing = request({ ...at, method, path, headers: headersOf(question), agent });
      this.#open.add(outgoing);
      const fail = (why: string): void => void outgoing.destroy(new Error(`Cannot ask: ${why}`));
      let timer = setTimeout(() => fail("no answer in time"), ASK_MS_MAX);
      let isAnswered = false;
      // Only the first of all these ends counts.
      outgoing.on("error", (error) => {
        const isLost = (error as NodeJS.ErrnoException).code === "ECONNRESET";
        resolve(isLost && outgoing.reusedSocket && !isAnswered ? "stale" : error);
      });
      outgoing.on("close", () => {
        clearTimeout(timer);
        this.#open.delete(outgoing);
        if (this.#open.size === 0) this.#onIdle?.();
        resolve(new Error("Cannot ask: the connection ended before the answer"));
      });
      outgoing.on("response", (incoming) => {
        isAnswered = true;
        const status = incoming.statusCode ?? 0;
        const chunks: Buffer[] = [];
        let bytes = 0;
        const end = (): void => resolve({ status, body: Buffer.concat(chunks).toString("utf8") });
        incoming.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) return fail("the answer is too long");
          chunks.push(chunk);
        });
        incoming.on("end", end);
        incoming.on("error", resolve);
        if (leaveAfterMs === undefined) return;
        clearTimeout(timer);
        timer = setTimeout(() => {
          end();
          outgoing.destroy();
        }, leaveAfterMs);
      });
      outgoing.end(body?.text);
    });
  }
}

function headersOf({ authority, headers, body }: Question): Record<string, string> {
  if (body === undefined) return { Host: authority, ...headers };
  return {
    ...{ Host: authority, ...headers },
    ...{ "Content-Type": body.type, "Content-Length": String(Buffer.byteLength(body.text)) },
  };
}
