/**
 * What end-to-end tests of raw connections share: tokens that may call out, the ports of a gateway, the doors of an
 * agent, and both ends of a TCP connection, each of which knows how it came to its end.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import net, { type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { mint } from "../../lib/admin/token_commands.ts";
import type { RunningProcess } from "../support/processes.ts";
import { Changing } from "../support/raw_http.ts";
import { type Claims, eventually, portOf, type RunningGateway } from "./wall.ts";

/** What a token is to say. */
export interface CallClaims extends Claims {
  /** Services of others that it may call. @default none */
  readonly reach?: readonly string[];
  /** Whether it may call the outside. @default false */
  readonly egress?: boolean;
}

/** Mints a token that may call as well as serve. */
export function mintCaller(data: string, claims: CallClaims = {}): Promise<string> {
  const { name = "agent", serve = ["*"], reach = [], egress = false, ttlMs = 3_600_000 } = claims;
  return mint({ data, name, serve, reach, egress, ttlMs, namespace: "default", image: "" }, Date.now());
}

/** The ports of `--tcp`, in order. */
export function tcpPorts(gateway: RunningGateway): number[] {
  const { tcp } = gateway.addresses;
  if (!Array.isArray(tcp)) {
    throw new Error(`The ready line has no TCP ports: ${JSON.stringify(gateway.addresses)}`);
  }
  return tcp.map(portOf);
}

/** Where a door is: the port of loopback, or the path of a unix socket. */
export async function reachDoor(agent: RunningProcess, service: string): Promise<number | string> {
  const { reach } = await agent.ready as unknown as { reach?: Record<string, string> };
  const at = reach?.[service];
  if (at === undefined) throw new Error(`The ready line has no door to ${service}`);
  return at.startsWith("unix:") ? at.slice(5) : portOf(at);
}

/** The address of an agent's proxy, `HOST:PORT` or `unix:PATH`. */
export async function proxyDoor(agent: RunningProcess): Promise<string> {
  const { egress } = await agent.ready;
  if (egress === undefined) throw new Error("The ready line has no proxy");
  return egress;
}

/** What a gateway with `--admin 127.0.0.1:0` tells at a path of its admin listener. */
export async function admin(gateway: RunningGateway, path = "/metrics"): Promise<string> {
  const secret = readFileSync(join(gateway.data, "admin-token"), "utf8").trim();
  const url = `http://${gateway.addresses["admin"]}${path}`;
  return await (await fetch(url, { headers: { authorization: `Bearer ${secret}` } })).text();
}

/** The sum of all series of a metric whose labels hold every text. */
export function sumOf(metrics: string, name: string, ...labels: readonly string[]): number {
  return metrics.split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => labels.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}

/** Bytes that tell every place apart: no window or chunk size is a multiple of 251. */
export function pattern(bytes: number, seed = 0): Buffer {
  const block = Buffer.alloc(251 * 256);
  for (let at = 0; at < block.length; at++) block[at] = (at % 251) ^ Math.floor(at / 251);
  const whole = Buffer.alloc(bytes, block);
  if (bytes > 0) whole[0] = (whole[0]! + seed) & 0xff;
  return whole;
}

/** How long one end waits for anything. */
const WAIT_MS_MAX = 20_000;

/** One end of a TCP connection. Half-open: an end that came leaves its own direction as it is. */
export class TcpEnd extends Changing {
  readonly socket: Socket;
  /** The other side said that it sends no more. */
  ended = false;
  /** The socket is gone. */
  closed = false;
  /** Such as ECONNRESET, when it broke. */
  error: string | undefined;
  readBytes = 0;
  #chunks: Buffer[] = [];

  constructor(socket: Socket) {
    super();
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.readBytes += chunk.length;
      this.#chunks.push(chunk);
      this.changed();
    });
    socket.on("end", () => {
      this.ended = true;
      this.changed();
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      this.error = error.code ?? error.message;
      this.changed();
    });
    socket.on("close", () => {
      this.closed = true;
      this.changed();
    });
  }

  /** Connects to a port of loopback or to a unix socket; settles also when it is refused. */
  static async connect(at: number | string, localAddress?: string): Promise<TcpEnd> {
    const to = typeof at === "string" ? { path: at } : { port: at, host: "127.0.0.1" };
    const from = localAddress === undefined ? {} : { localAddress };
    const end = new TcpEnd(net.connect({ ...to, ...from, allowHalfOpen: true }));
    let isConnected = false;
    end.socket.once("connect", () => {
      isConnected = true;
      end.changed();
    });
    await end.until(() => isConnected || end.closed, () => `a connection to ${at}`, WAIT_MS_MAX);
    return end;
  }

  write(data: string | Uint8Array): this {
    this.socket.write(data);
    return this;
  }

  end(): this {
    this.socket.end();
    return this;
  }

  /** Cuts the connection off with a reset, so that the other side cannot take it for an end. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  destroy(): void {
    this.socket.destroy();
  }

  /** Waits for so many bytes in all and gives them; fewer when the connection is over. */
  async take(bytes: number, timeoutMs = WAIT_MS_MAX): Promise<Buffer> {
    const isThere = (): boolean => this.readBytes >= bytes || this.ended || this.closed;
    await this.until(isThere, () => `${bytes} bytes, ${this.readBytes} came`, timeoutMs);
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(bytes)];
    this.readBytes -= Math.min(bytes, all.length);
    return all.subarray(0, bytes);
  }

  /** Waits for the other side's end, and gives all that came. */
  async rest(timeoutMs = WAIT_MS_MAX): Promise<Buffer> {
    await this.until(
      () => this.ended || this.closed,
      () => `the end, ${this.readBytes} bytes came`,
      timeoutMs,
    );
    return Buffer.concat(this.#chunks);
  }

  /** Waits until the socket is gone, and says how: the code of its error, `end` after an orderly end, or `cut`. */
  async gone(timeoutMs = WAIT_MS_MAX): Promise<string> {
    const isOver = (): boolean => this.closed || this.ended;
    await this.until(isOver, () => `the connection to be over`, timeoutMs);
    // A reset can follow an end at once, and then the reset is what counts.
    if (!this.closed && this.socket.writableEnded) {
      await this.until(() => this.closed, () => "the socket to be gone", timeoutMs);
    }
    return this.error ?? (this.ended ? "end" : "cut");
  }
}

/** A target for raw connections, in the process of the test. */
export class TcpTarget extends Changing {
  /** Every connection that ever came, in order. */
  readonly ends: TcpEnd[] = [];
  /** What to do with a new connection. @default nothing */
  onConnection: (end: TcpEnd) => void = () => {};
  readonly #server: net.Server;

  private constructor() {
    super();
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const end = new TcpEnd(socket);
      this.ends.push(end);
      this.onConnection(end);
      this.changed();
    });
  }

  /** Listens on a free port of loopback, or on a unix socket. */
  static start(onConnection?: (end: TcpEnd) => void, path?: string): Promise<TcpTarget> {
    const target = new TcpTarget();
    if (onConnection) target.onConnection = onConnection;
    return new Promise((resolve, reject) => {
      target.#server.once("error", reject);
      const done = (): void => resolve(target);
      if (path !== undefined) target.#server.listen(path, done);
      else target.#server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, done);
    });
  }

  /** Sends everything back, and ends when the other side does. */
  static echo(): Promise<TcpTarget> {
    return TcpTarget.start(({ socket }) => {
      socket.pipe(socket);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Waits for the connection of this number, from 0. */
  async connection(index: number): Promise<TcpEnd> {
    await this.until(() => this.ends.length > index, () => `connection ${index}`, WAIT_MS_MAX);
    return this.ends[index]!;
  }

  close(): void {
    for (const end of this.ends) end.destroy();
    this.#server.close();
  }
}

/** Waits until what is written to a socket does not leave any more: nothing moved for a while. */
export async function untilStalled(socket: Socket): Promise<void> {
  let seen = -1;
  await eventually(async () => {
    const last = seen;
    seen = socket.bytesWritten - socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return seen > 0 && last === seen;
  }, (isStalled) => isStalled);
}
