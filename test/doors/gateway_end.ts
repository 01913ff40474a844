/**
 * A gateway for tests of the doors of an agent: a session whose other side does with each call what the test says.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Session } from "../../lib/mux/session.ts";
import type { Stream } from "../../lib/mux/stream.ts";
import { createLogger, type Logger } from "../../lib/log.ts";
import { decodeFields, encodeFields } from "../../lib/wire/head.ts";
import type { OpenPayload } from "../../lib/wire/open.ts";
import { endPair, readyPair, type SessionPair, TestSink, until } from "../support/session_pair.ts";

/** The head that says that the connection stands. */
export const STANDS = encodeFields([]);

/** One call of the agent, as the gateway sees it. */
export class Call {
  readonly sink = new TestSink();
  readonly #chunks: Buffer[] = [];

  constructor(readonly stream: Stream, readonly open: OpenPayload) {
    this.sink.stream = stream;
    this.sink.onChunk = (chunk) => this.#chunks.push(Buffer.from(chunk));
    stream.attach(this.sink);
    if (open.body.length > 0) this.sink.onData(open.body, stream.remoteEnded);
  }

  get fields(): string[] {
    return decodeFields(this.open.head);
  }

  /** What came so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  /** Says that it stands. */
  stand(first = ""): this {
    this.stream.sendHead(STANDS, Buffer.from(first));
    return this;
  }

  write(text: string | Uint8Array): this {
    this.stream.write(Buffer.from(text as string));
    return this;
  }

  end(): void {
    this.stream.end();
  }
}

/** One gateway, and the agent's session with it. */
export class Gateway {
  readonly calls: Call[] = [];
  pair!: SessionPair;
  /** What to do with a call. @default it stands */
  answer: (call: Call) => void = (call) => call.stand();

  /** @param streamsMax How many calls it takes at once. */
  static async start(streamsMax = 100): Promise<Gateway> {
    const gateway = new Gateway();
    gateway.pair = await readyPair({
      gateway: {
        streamsMax,
        onOpen: (stream, open) => {
          const call = new Call(stream, { ...open, head: open.head.slice(), body: open.body.slice() });
          gateway.calls.push(call);
          gateway.answer(call);
        },
      },
    });
    return gateway;
  }

  /** The agent's side. */
  get session(): Session {
    return this.pair.agent.session;
  }

  async call(index: number): Promise<Call> {
    await until(() => this.calls.length > index, `call ${index}`);
    return this.calls[index]!;
  }

  /** Whether no stream is left and nothing is held, on both sides. */
  get isClean(): boolean {
    return [this.pair.gateway, this.pair.agent].every(({ session }) =>
      session.streamsOpen === 0 && session.heldBytes === 0 && session.budget.heldBytes === 0
    );
  }

  async close(): Promise<void> {
    await endPair(this.pair);
  }
}

/** A log that is kept, as one parsed object for each line. */
export function keptLog(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line));
  return { log: createLogger({ write, isTerminal: false, level: "debug", format: "json" }), lines };
}
