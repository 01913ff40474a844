/**
 * Notices a link that only looks open: ping every 15 s, dead after 10 s without a byte in answer.
 *
 * Both sides do this, so a path that is cut in one direction is noticed at both ends within 25 s. Measures the round
 * trip on the way.
 *
 * @module
 */
import { PING_BYTES, readUint32, writeUint32 } from "../wire/frame.ts";

export interface KeepaliveOptions {
  /** Time between pings, in ms. @default 15_000 */
  intervalMs?: number;
  /** Time for an answer, in ms. @default 10_000 */
  timeoutMs?: number;
  /** Sends a PING with this payload. */
  sendPing(payload: Uint8Array): void;
  /** The peer is gone. Called once. */
  onDead(): void;
}

export class Keepalive {
  /** Smoothed round trip in ms; 0 until the first answer. */
  rttMs = 0;
  readonly #options: KeepaliveOptions;
  readonly #intervalMs: number;
  readonly #timeoutMs: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sequence = 0;
  #sentMs = 0;
  #awaiting = false;
  #receivedMs = 0;

  constructor(options: KeepaliveOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? 15_000;
    this.#timeoutMs = options.timeoutMs ?? 10_000;
  }

  /** Sends the first ping at once, since windows are sized by the round trip. */
  start(): void {
    this.#ping();
  }

  stop(): void {
    // A PONG that comes now must not arm the timer again.
    this.#awaiting = false;
    clearTimeout(this.#timer);
  }

  /** Any byte of the peer proves that it lives, also when its PONG is stuck behind a large answer. */
  received(): void {
    this.#receivedMs = performance.now();
  }

  /** Takes a PONG; one that answers no ping of ours is ignored. */
  pong(payload: Uint8Array): void {
    if (!this.#awaiting || payload.length !== PING_BYTES || readUint32(payload, 4) !== this.#sequence) return;
    const sampleMs = performance.now() - this.#sentMs;
    // After RFC 6298 §2: one eighth of each new sample.
    this.rttMs = this.rttMs === 0 ? sampleMs : this.rttMs + (sampleMs - this.rttMs) / 8;
    this.#awaiting = false;
    this.#arm(this.#intervalMs, () => this.#ping());
  }

  #ping(): void {
    const payload = new Uint8Array(PING_BYTES);
    this.#sequence = (this.#sequence + 1) >>> 0;
    writeUint32(payload, 4, this.#sequence);
    this.#sentMs = performance.now();
    this.#awaiting = true;
    this.#options.sendPing(payload);
    this.#arm(this.#timeoutMs, () => this.#check());
  }

  #check(): void {
    const nowMs = performance.now();
    // A process that was stopped (SIGSTOP, a laptop's sleep) wakes with its timers due and its socket unread.
    const sleptMs = nowMs - this.#sentMs - this.#timeoutMs;
    if (sleptMs > this.#timeoutMs / 2) return this.#ping();
    if (this.#receivedMs > this.#sentMs) return this.#arm(this.#timeoutMs, () => this.#checkAgain(nowMs));
    this.#options.onDead();
  }

  /** Bytes came but no PONG: alive for as long as bytes go on coming. */
  #checkAgain(sinceMs: number): void {
    if (this.#receivedMs <= sinceMs) return this.#options.onDead();
    const nowMs = performance.now();
    this.#arm(this.#timeoutMs, () => this.#checkAgain(nowMs));
  }

  #arm(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
    this.#timer.unref?.();
  }
}
