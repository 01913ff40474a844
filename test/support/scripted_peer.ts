/**
 * The other end of a session, frame by frame: it sends whatever a test tells it to, sound or not.
 *
 * @module
 */
import type { Link } from "../../lib/link/link.ts";
import { FrameDecoder, FrameEncoder } from "../../lib/wire/codec.ts";
import { FLAG_END, FrameType, writeUint32 } from "../../lib/wire/frame.ts";
import { encodeFields, encodeRequestHead, encodeResponseHead } from "../../lib/wire/head.ts";
import { encodeHello } from "../../lib/wire/hello.ts";
import { decodeFarewell, encodeHead, encodeOpen, type StreamKindName } from "../../lib/wire/open.ts";
import { Changing } from "./raw_http.ts";

const NO_BYTES = new Uint8Array(0);

export interface SeenFrame {
  type: number;
  flags: number;
  id: number;
  payload: Uint8Array;
}

/** Text as bytes, one per character. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

export class ScriptedPeer extends Changing {
  readonly seen: SeenFrame[] = [];
  ended = false;
  /** Called for each frame, for peers that answer by themselves. */
  onFrame: (frame: SeenFrame) => void = () => {};
  readonly #link: Link;
  readonly #encoder: FrameEncoder;

  constructor(link: Link, helloFields: string[] = ["services", "web"]) {
    super();
    this.#link = link;
    this.#encoder = new FrameEncoder((message) => link.send(message));
    const decoder = new FrameDecoder((type, flags, id, payload) => {
      const frame = { type, flags, id, payload: payload.slice() };
      this.seen.push(frame);
      this.onFrame(frame);
      this.changed();
    });
    link.start({
      onMessage: (chunk) => decoder.push(chunk),
      onDrain: () => {},
      onClose: () => {
        this.ended = true;
        this.changed();
      },
    });
    this.frame(
      FrameType.hello,
      0,
      0,
      encodeHello({
        ...{ versionMin: 1, versionMax: 1, streamWindowBytes: 1 << 18, sessionWindowBytes: 1 << 24 },
        ...{ streamsMax: 100, fields: helloFields },
      }),
    );
  }

  frame(type: number, flags: number, id: number, payload: Uint8Array = NO_BYTES): this {
    this.#encoder.write(type, flags, id, payload);
    this.#encoder.flush();
    return this;
  }

  /** Opens a stream with a request, as a gateway would. */
  open(
    id: number,
    kind: StreamKindName,
    service: string,
    request: Uint8Array,
    end: boolean,
    body = "",
  ): this {
    const open = { kind, service, windowBytes: 1 << 18, head: request, body: bytes(body) };
    return this.frame(FrameType.open, end ? FLAG_END : 0, id, encodeOpen(open));
  }

  /** Answers a stream, as an agent would. */
  head(id: number, status: number, fields: string[], body = "", end = false, reason = "OK"): this {
    const head = encodeResponseHead({ status, reason, fields });
    return this.frame(FrameType.head, end ? FLAG_END : 0, id, encodeHead(head, bytes(body)));
  }

  data(id: number, text: string, end = false): this {
    return this.frame(FrameType.data, end ? FLAG_END : 0, id, bytes(text));
  }

  end(id: number, trailers: string[] = []): this {
    return this.frame(FrameType.end, 0, id, trailers.length === 0 ? NO_BYTES : encodeFields(trailers));
  }

  credit(id: number, amount: number): this {
    const payload = new Uint8Array(4);
    writeUint32(payload, 0, amount);
    return this.frame(FrameType.credit, 0, id, payload);
  }

  /** Waits for a frame of a type, of a stream if one is given. */
  async frameOf(type: number, id?: number): Promise<SeenFrame> {
    const find = (): SeenFrame | undefined =>
      this.seen.find((frame) => frame.type === type && (id === undefined || frame.id === id));
    await this.until(() => find() !== undefined || this.ended, () => `a frame of type ${type}`);
    const frame = find();
    if (!frame) throw new Error(`The session ended without a frame of type ${type}`);
    return frame;
  }

  /** The code of the RESET of a stream, waited for. */
  async resetOf(id: number): Promise<string> {
    return decodeFarewell((await this.frameOf(FrameType.reset, id)).payload).code;
  }

  close(): void {
    this.#link.terminate("The test is over");
  }
}

/** A request head as a gateway encodes it. */
export function requestHead(method: string, target: string, fields: string[]): Uint8Array {
  return encodeRequestHead({ method, target, fields });
}
