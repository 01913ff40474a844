/**
 * What is kept of traffic, filled by hand, with what shows it; a replay goes to a service that is written here.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import type { DoorCall, ReplayCall } from "../../lib/gateway/inner_door.ts";
import { GatewayTraffic, type GatewayTrafficOptions } from "../../lib/gateway/traffic_control.ts";
import { TrafficWatch } from "../../lib/gateway/traffic_watch.ts";
import { createLogger } from "../../lib/log.ts";
import type { RequestFacts } from "../../lib/traffic/kept_request.ts";
import { BodyTap } from "../../lib/traffic/recordings.ts";
import type { RequestLog } from "../../lib/traffic/request_log.ts";

/** A request that is over, as the gateway tells of it. */
export function requestFacts(change: Partial<RequestFacts> = {}): RequestFacts {
  return {
    ...{ id: "req-1", service: "web", agent: "box", direction: "north-south", source: "192.0.2.9" },
    ...{ caller: undefined, secure: false, method: "GET", host: "shop.example", target: "/", hasBody: false },
    ...{
      upgrade: false,
      requestFields: ["Host", "shop.example"],
      responseFields: ["Content-Type", "text/plain"],
    },
    ...{ status: 200, atMs: 1_800_000_000_000, ms: 1.5, requestBytes: 0, responseBytes: 5 },
    ...{ verdict: "forwarded", rule: "learned", failure: undefined, replayOf: undefined, bodies: undefined },
    ...change,
  };
}

/** Bodies as they are recorded, from text. */
export function bodiesOf(
  log: RequestLog,
  { request = "", response = "", bytesMax = 1 << 16, isWhole = true }: {
    request?: string | Uint8Array;
    response?: string | Uint8Array;
    bytesMax?: number;
    isWhole?: boolean;
  },
): BodyTap {
  const tap = new BodyTap(log.memory, bytesMax, () => true);
  tap.onRequestBytes(Buffer.from(request as string));
  if (isWhole) tap.onRequestEnd();
  tap.onResponseBytes(Buffer.from(response as string));
  return tap;
}

/** A connection that answers the first request on it, without a network. */
class AnsweringSocket extends Duplex {
  #text = "";
  readonly #answer: (text: string) => string | undefined;

  constructor(answer: (text: string) => string | undefined) {
    super({ allowHalfOpen: true });
    this.#answer = answer;
  }

  override _write(chunk: Uint8Array, _encoding: string, done: () => void): void {
    this.#text += Buffer.from(chunk).toString("latin1");
    const answer = this.#answer(this.#text);
    if (answer !== undefined) this.push(Buffer.from(answer, "latin1"));
    done();
  }

  override _read(): void {
    // It is pushed when there is something.
  }
}

export interface TrafficRig {
  readonly watch: TrafficWatch;
  readonly control: GatewayTraffic;
  /** What was sent again, and in whose name. */
  readonly sent: { call: ReplayCall; text: string }[];
  /** Lines of the log. */
  readonly lines: string[];
  /** What the service answers; `undefined` for nothing, ever. */
  answer: string | undefined;
}

export const ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello";

export function trafficRig(
  options: Pick<GatewayTrafficOptions, "registry" | "store"> & { replayTimeoutMs?: number },
): TrafficRig {
  const watch = new TrafficWatch();
  const lines: string[] = [];
  const sent: { call: ReplayCall; text: string }[] = [];
  const connect = (call: DoorCall): Promise<never> => {
    const seen = { call: call as ReplayCall, text: "" };
    sent.push(seen);
    seen.call.onVisit("new-id");
    const socket = new AnsweringSocket((text) => {
      seen.text = text;
      const end = text.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      return end >= 0 && text.length >= end + 4 + length ? rig.answer : undefined;
    });
    return Promise.resolve(socket as unknown as never);
  };
  const log = createLogger({
    level: "debug",
    format: "json",
    isTerminal: false,
    write: (line) => void lines.push(line),
  });
  const control = new GatewayTraffic({ traffic: watch, inner: { connect }, log, ...options });
  const rig: TrafficRig = { watch, control, sent, lines, answer: ANSWER };
  return rig;
}
