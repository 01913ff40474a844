/**
 * Events to a syslog receiver over TCP, TLS or UDP.
 *
 * Syslog has no answers: what the operating system has taken counts as sent. A receiver that goes away takes what lay
 * in the socket with it, at most a few seconds of events, and a batch that was cut off is sent again whole, so that an
 * event may come twice. Over UDP nobody ever learns what was lost: use TLS where it counts.
 *
 * Source: RFC 5424 (message), RFC 6587 §3.4.1 (octet counting on TCP), RFC 5425 (TLS), RFC 5426 (UDP).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import dgram from "node:dgram";
import { lookup } from "node:dns/promises";
import net from "node:net";
import os from "node:os";
import process from "node:process";
import { clearTimeout, setTimeout } from "node:timers";
import tls from "node:tls";
import { quoted } from "../../printable.ts";
import type { NetwallEvent } from "../event.ts";
import { QueuedSink } from "./queued_sink.ts";
import {
  type Batch,
  type Carrier,
  type Delivery,
  type EventSink,
  SinkAddressError,
  type SinkHooks,
  type SinkTuning,
} from "./sink.ts";
import { DATAGRAM_BYTES_MAX, MESSAGE_BYTES_MAX, syslogMessage, type SyslogOrigin } from "./syslog_message.ts";

/** For name lookup, dial and handshake together. */
export const SYSLOG_CONNECT_TIMEOUT_MS = 10_000;
/** A receiver that takes nothing for so long is left: a connection that only looks open would keep all events. */
export const SYSLOG_WRITE_TIMEOUT_MS = 15_000;
const BACKOFF_MS_MAX = 30_000;
const BATCH_EVENTS_MAX = 100;
const BATCH_BYTES_MAX = 64 << 10;
/** A silent connection is asked whether it still stands. */
const KEEPALIVE_MS = 30_000;
/** The address behind a name is asked for again after so long: there is no connection that would end. */
const DATAGRAM_SOCKET_MS_MAX = 5 * 60_000;
const ADDRESS_CHARS_MAX = 300;

/** Ports when none is written: RFC 5426 §3.3, RFC 5425 §4.1. Plain TCP has none of its own. */
const PORT: Readonly<Record<string, string>> = { udp: "514", tls: "6514" };

export interface SyslogAddress {
  readonly transport: "tcp" | "tls" | "udp";
  /** A name or an address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface SyslogOptions extends SinkHooks {
  readonly address: SyslogAddress;
  /** Authorities to trust instead of the runtime's own list, PEM. */
  readonly ca?: string;
  /** @default that of the machine */
  readonly hostname?: string;
  /** @default SYSLOG_CONNECT_TIMEOUT_MS */
  readonly connectTimeoutMs?: number;
  /** @default SYSLOG_WRITE_TIMEOUT_MS */
  readonly writeTimeoutMs?: number;
  readonly tuning?: SinkTuning;
}

/**
 * Reads `tcp://HOST:PORT`, `tls://HOST[:PORT]` or `udp://HOST[:PORT]`.
 *
 * @throws {SinkAddressError} Anything else, also a path, a query or a user name.
 */
export function parseSyslogAddress(text: string): SyslogAddress {
  const forms = "write tcp://HOST:PORT, tls://HOST:PORT or udp://HOST:PORT";
  const match = text.length > ADDRESS_CHARS_MAX
    ? null
    : /^(tcp|tls|udp):\/\/(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+))(?::(\d{1,5}))?\/?$/i.exec(text);
  // A wrong address may hold a password: it is repeated only when there is no sign of one.
  const shown = text.includes("@") ? "the syslog address" : `syslog address ${quoted(text)}`;
  if (match === null) throw new SinkAddressError(`${shown} is none: ${forms}`);
  const [, scheme = "", v6, name] = match;
  const transport = scheme.toLowerCase() as SyslogAddress["transport"];
  if (v6 !== undefined && !net.isIPv6(v6)) {
    throw new SinkAddressError(`${shown} has no IPv6 address: ${forms}`);
  }
  const port = match[4] ?? PORT[transport];
  if (port === undefined) throw new SinkAddressError(`${shown} names no port: write tcp://HOST:PORT`);
  if (Number(port) < 1 || Number(port) > 65_535) {
    throw new SinkAddressError(`${shown} has a port that is none: write one from 1 to 65535`);
  }
  return { transport, host: (v6 ?? name)!.toLowerCase(), port: Number(port) };
}

/** Makes the sink. Nothing is dialled before the first event. */
export function syslogSink(options: SyslogOptions): EventSink {
  return new QueuedSink({
    name: "syslog",
    carrier: new Syslog(options),
    batchEventsMax: BATCH_EVENTS_MAX,
    batchBytesMax: BATCH_BYTES_MAX,
    waitMs: 0,
    onFault: options.onFault,
    onHealed: options.onHealed,
    tuning: { backoffMsMax: BACKOFF_MS_MAX, ...options.tuning },
  });
}

/** A way to the receiver that stands. */
interface Line {
  readonly isOpen: boolean;
  /** Settles when the operating system has taken them. */
  send(messages: readonly Uint8Array[]): Promise<void>;
  close(): void;
}

class Syslog implements Carrier {
  readonly #options: SyslogOptions;
  readonly #origin: SyslogOrigin;
  #line: Line | undefined;

  constructor(options: SyslogOptions) {
    this.#options = options;
    this.#origin = { hostname: options.hostname ?? os.hostname(), processId: process.pid };
  }

  encode(event: NetwallEvent): Uint8Array {
    if (this.#options.address.transport === "udp") {
      return syslogMessage(event, this.#origin, DATAGRAM_BYTES_MAX);
    }
    const message = syslogMessage(event, this.#origin, MESSAGE_BYTES_MAX);
    return Buffer.concat([Buffer.from(`${message.length} `), message]);
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<Delivery> {
    const { transport, host, port } = this.#options.address;
    try {
      if (this.#line?.isOpen !== true) {
        this.#line?.close();
        this.#line = transport === "udp"
          ? await openDatagrams(this.#options)
          : await openStream(this.#options, signal);
      }
      if (signal.aborted) throw new Error("the gateway stops");
      await this.#line.send(batch.items);
      return { kind: "delivered" };
    } catch (error) {
      this.end();
      const reason = error instanceof Error ? error.message : String(error);
      const where = `${transport}://${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
      return { kind: "failed", message: `Cannot send events to ${where}: ${reason.slice(0, 300)}` };
    } finally {
      if (signal.aborted) this.end();
    }
  }

  end(): void {
    this.#line?.close();
    this.#line = undefined;
  }
}

/** Dials TCP, and lays TLS over it. */
function openStream(options: SyslogOptions, signal: AbortSignal): Promise<Line> {
  const { address: { transport, host, port }, ca, connectTimeoutMs = SYSLOG_CONNECT_TIMEOUT_MS } = options;
  return new Promise((resolve, reject) => {
    const secured = transport === "tls"
      ? tls.connect({
        host,
        port,
        // RFC 6066 §3 allows no address as a server name.
        ...(net.isIP(host) === 0 ? { servername: host } : {}),
        ...(ca === undefined ? {} : { ca }),
        rejectUnauthorized: true,
      })
      : undefined;
    const socket: net.Socket = secured ?? net.connect({ host, port });
    const fail = (reason: string): void => {
      done();
      socket.destroy();
      reject(new Error(reason));
    };
    const onAbort = (): void => fail("the gateway stops");
    const onError = (error: Error): void => fail(error.message);
    const onClose = (): void => fail("the connection was closed");
    const timer = setTimeout(() => fail(`no connection within ${connectTimeoutMs} ms`), connectTimeoutMs);
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.off("close", onClose);
      socket.off("error", onError);
      // A socket without a listener throws its error at the process.
      socket.on("error", () => {});
    };
    socket.on("error", onError);
    socket.on("close", onClose);
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once(secured === undefined ? "connect" : "secureConnect", () => {
      if (secured !== undefined && !secured.authorized) {
        return fail(secured.authorizationError?.message ?? "its certificate is not trusted");
      }
      done();
      socket.setKeepAlive(true, KEEPALIVE_MS);
      resolve(new StreamLine(socket, options.writeTimeoutMs ?? SYSLOG_WRITE_TIMEOUT_MS));
    });
  });
}

class StreamLine implements Line {
  readonly #socket: net.Socket;
  readonly #writeTimeoutMs: number;
  #isOpen = true;
  #isWriting = false;

  constructor(socket: net.Socket, writeTimeoutMs: number) {
    this.#socket = socket;
    this.#writeTimeoutMs = writeTimeoutMs;
    // A receiver that ends, or has gone, is noticed before the next event is written into the void.
    for (const over of ["end", "error", "close"]) socket.on(over, () => this.close());
    // Syslog has no answers: whatever comes is thrown away.
    socket.resume();
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  send(messages: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = (reason?: string): void => {
        clearTimeout(timer);
        this.#socket.off("close", onClose);
        this.#isWriting = false;
        if (reason === undefined) return resolve();
        // First, as the write is told of it too, in other words.
        reject(new Error(reason));
        this.#socket.destroy();
      };
      const onClose = (): void => finish("the connection was closed");
      const timer = setTimeout(
        () => finish(`it takes nothing for ${this.#writeTimeoutMs} ms`),
        this.#writeTimeoutMs,
      );
      this.#socket.on("close", onClose);
      this.#isWriting = true;
      this.#socket.write(Buffer.concat(messages), (error) => finish(error?.message));
    });
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    // What counts as sent is with the operating system already; what does not would wait for a receiver that is stuck.
    if (this.#isWriting) return void this.#socket.destroy();
    this.#socket.destroySoon();
  }
}

/** Makes a socket for datagrams to the address that the name has now. */
async function openDatagrams({ address }: SyslogOptions): Promise<Line> {
  const found = await lookup(address.host);
  const socket = dgram.createSocket(found.family === 6 ? "udp6" : "udp4");
  const sinceMs = performance.now();
  let isOpen = true;
  const close = (): void => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  socket.on("error", close);
  const sendOne = (message: Uint8Array): Promise<void> =>
    new Promise((resolve, reject) => {
      socket.send(message, address.port, found.address, (error) => error ? reject(error) : resolve());
    });
  return {
    get isOpen(): boolean {
      return isOpen && performance.now() - sinceMs < DATAGRAM_SOCKET_MS_MAX;
    },
    async send(messages): Promise<void> {
      for (const message of messages) await sendOne(message);
    },
    close,
  };
}
