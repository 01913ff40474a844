/**
 * The services whose bodies are recorded: for a while, and only as long as somebody has asked for it.
 *
 * @module
 */
import { assert } from "../assert.ts";
import { RecordedBody, type RecordedBytes } from "./recorded_body.ts";

/** Services that are recorded at once. */
export const RECORDINGS_MAX = 16;
export const RECORDING_MINUTES_MAX = 60;
/** Of each body, when nothing is said. */
export const BODY_BYTES_DEFAULT = 64 << 10;
export const BODY_BYTES_MAX = 1 << 20;

export interface Recording {
  readonly service: string;
  readonly untilMs: number;
  readonly bodyBytesMax: number;
  /** Who asked for it. */
  readonly by: string;
}

/** The bodies of one request and of its answer. */
export interface RecordedBodies {
  readonly request: RecordedBody;
  readonly response: RecordedBody;
}

/** Hears the bodies of one exchange as they pass. */
export class BodyTap implements RecordedBodies {
  readonly request: RecordedBody;
  readonly response: RecordedBody;
  readonly #isOn: () => boolean;
  /** The request came to its end. */
  isRequestWhole = false;

  constructor(memory: RecordedBytes, bytesMax: number, isOn: () => boolean) {
    this.request = new RecordedBody(memory, bytesMax);
    this.response = new RecordedBody(memory, bytesMax);
    this.#isOn = isOn;
  }

  /** @param chunk Valid during the call only. */
  onRequestBytes(chunk: Uint8Array): void {
    if (this.#isOn()) this.request.push(chunk);
    else this.request.totalBytes += chunk.length;
  }

  /** @param chunk Valid during the call only. */
  onResponseBytes(chunk: Uint8Array): void {
    if (this.#isOn()) this.response.push(chunk);
    else this.response.totalBytes += chunk.length;
  }

  onRequestEnd(): void {
    this.isRequestWhole = true;
  }

  finish(): void {
    this.request.finish();
    this.response.finish();
  }

  release(): void {
    this.request.release();
    this.response.release();
  }
}

interface Running {
  readonly recording: Recording;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class Recordings {
  readonly #running = new Map<string, Running>();
  readonly #nowMs: () => number;

  /** @param nowMs Since 1970. @default Date.now */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  list(): Recording[] {
    return [...this.#running.values()].map(({ recording }) => recording);
  }

  hasRoomFor(service: string): boolean {
    return this.#running.has(service) || this.#running.size < RECORDINGS_MAX;
  }

  of(service: string): Recording | undefined {
    const recording = this.#running.get(service)?.recording;
    return recording !== undefined && this.#nowMs() < recording.untilMs ? recording : undefined;
  }

  /** Begins, or goes on with other bounds. There is room for it. @param onEnd It has ended by itself. */
  start(recording: Recording, onEnd: () => void): void {
    const { service, untilMs } = recording;
    assert(this.hasRoomFor(service), "there is room for one more recording");
    this.stop(service);
    const timer = setTimeout(() => {
      if (this.stop(service)) onEnd();
    }, Math.max(0, untilMs - this.#nowMs()));
    timer.unref?.();
    this.#running.set(service, { recording, timer });
  }

  /** @returns Whether it was on. */
  stop(service: string): boolean {
    const running = this.#running.get(service);
    if (running === undefined) return false;
    clearTimeout(running.timer);
    return this.#running.delete(service);
  }

  close(): void {
    for (const service of [...this.#running.keys()]) this.stop(service);
  }

  /** What is to hear an exchange of a service; `undefined` when it is not recorded. */
  tap(service: string, memory: RecordedBytes): BodyTap | undefined {
    // Every request asks, and hardly ever is anything recorded.
    const recording = this.#running.size === 0 ? undefined : this.of(service);
    if (recording === undefined) return undefined;
    return new BodyTap(memory, recording.bodyBytesMax, () => this.of(service) !== undefined);
  }
}
