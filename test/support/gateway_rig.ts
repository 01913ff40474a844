/**
 * The parts of a gateway that carry raw connections, without tokens and sockets of agents: each agent is a script at
 * the other end of a link in memory, so that a test says frame by frame what it does.
 *
 * @module
 */
import { expect } from "bun:test";
import type { TokenClaims } from "../../lib/auth/token.ts";
import { EgressPolicy } from "../../lib/egress/egress_policy.ts";
import { parseEgressRule } from "../../lib/egress/egress_rule.ts";
import { Calls } from "../../lib/gateway/calls.ts";
import { addressFields, Connections } from "../../lib/gateway/connections.ts";
import { type InnerCall, InnerDoor } from "../../lib/gateway/inner_door.ts";
import type { Arrival } from "../../lib/http/visitor_server.ts";
import { memoryLinkPair } from "../../lib/link/memory.ts";
import { createLogger } from "../../lib/log.ts";
import { GatewayMetrics } from "../../lib/metrics/gateway_metrics.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import type { SessionEnd } from "../../lib/mux/session_options.ts";
import { type Attachment, Registry } from "../../lib/routing/registry.ts";
import { listenTcp, type TcpListener } from "../../lib/runtime/listen_tcp.ts";
import { FLAG_END, FrameType } from "../../lib/wire/frame.ts";
import { decodeFields, encodeFields } from "../../lib/wire/head.ts";
import type { ErrorName } from "../../lib/wire/errors.ts";
import { decodeFarewell, decodeOpen, encodeFarewell, encodeHead, encodeOpen } from "../../lib/wire/open.ts";
import type { StreamKindName } from "../../lib/wire/open.ts";
import { madeAttachment } from "./attachment.ts";
import { Changing } from "./raw_http.ts";
import { bytes, ScriptedPeer, type SeenFrame } from "./scripted_peer.ts";

/** What an agent's token says. */
export function claims(change: Partial<TokenClaims> = {}): TokenClaims {
  return {
    ...{ id: "token-0001", name: "box", serve: ["*"], reach: [], egress: false, namespace: "shop" },
    ...{ image: "", issuedAtMs: 0, expiresAtMs: 4e12 },
    ...change,
  };
}

/** An agent that does what a test tells it to. */
export class ScriptedAgent {
  /** How its session ended, if it did. */
  end: SessionEnd | undefined;

  constructor(readonly session: Session, readonly peer: ScriptedPeer, readonly attachment: Attachment) {}

  /** The OPEN frames that came, decoded. */
  get opens(): { id: number; kind: string | undefined; service: string; fields: string[]; body: string }[] {
    return this.peer.seen.filter(({ type }) => type === FrameType.open).map(({ id, payload }) => {
      const { kind, service, head, body } = decodeOpen(payload);
      return { id, kind, service, fields: decodeFields(head), body: Buffer.from(body).toString("latin1") };
    });
  }

  /** Waits for the OPEN of this number, from 0, and gives its id. */
  async opened(index = 0): Promise<number> {
    await this.peer.until(() => this.opens.length > index, () => `OPEN ${index}`);
    return this.opens[index]!.id;
  }

  /** Says that the target stands. */
  connected(id: number, body = "", end = false): this {
    const payload = encodeHead(encodeFields([]), bytes(body));
    this.peer.frame(FrameType.head, end ? FLAG_END : 0, id, payload);
    return this;
  }

  reset(id: number, code: ErrorName, detail = ""): this {
    this.peer.frame(FrameType.reset, 0, id, encodeFarewell(code, detail));
    return this;
  }

  /** Opens a stream, as an agent that calls; ids are even. */
  call(
    id: number,
    kind: StreamKindName,
    service: string,
    fields: string[] = [],
    body = "",
    end = false,
  ): this {
    const open = { kind, service, windowBytes: 1 << 18, head: encodeFields(fields), body: bytes(body) };
    this.peer.frame(FrameType.open, end ? FLAG_END : 0, id, encodeOpen(open));
    return this;
  }

  /** All body bytes of a stream so far, as text. */
  text(id: number): string {
    const parts = this.peer.seen.filter((frame) => frame.id === id && frame.type === FrameType.data);
    return parts.map(({ payload }) => Buffer.from(payload).toString("latin1")).join("");
  }

  async untilText(id: number, text: string): Promise<void> {
    await this.peer.until(() => this.text(id).includes(text), () => `${text} on stream ${id}`);
  }

  /** Waits for the RESET of a stream. */
  async resetOf(id: number): Promise<{ code: ErrorName; detail: string }> {
    return decodeFarewell((await this.peer.frameOf(FrameType.reset, id)).payload);
  }

  /** Frames of a stream that came, without credit. */
  seen(id: number): SeenFrame[] {
    return this.peer.seen.filter((frame) => frame.id === id && frame.type !== FrameType.credit);
  }
}

export interface GatewayRigOptions {
  idleTimeoutMs?: number;
  connectTimeoutMs?: number;
  logAccess?: boolean;
  allowEgress?: string[];
  callsMax?: number;
}

export class GatewayRig extends Changing {
  readonly registry = new Registry();
  readonly budget = new MemoryBudget(64 << 20, true);
  /** The log. */
  readonly lines: Record<string, unknown>[] = [];
  readonly metrics = new GatewayMetrics(() => ({
    ...this.registry.totals(),
    ...{ heldBytes: this.budget.heldBytes, shedTotal: 0 },
  }));
  readonly connections: Connections;
  readonly calls: Calls;
  readonly inner: InnerDoor;
  readonly agents: ScriptedAgent[] = [];
  readonly faults: unknown[] = [];
  /** Answers what comes by the inner door. */
  onRequest: (arrival: Arrival, call: InnerCall) => void = ({ outgoing }) => void outgoing!.end("hello");
  #listener: TcpListener | undefined;

  constructor(options: GatewayRigOptions = {}) {
    super();
    const { idleTimeoutMs = 0, connectTimeoutMs = 5_000, logAccess = false, allowEgress = [] } = options;
    const { callsMax = 10_000 } = options;
    const log = createLogger({
      ...{ level: "debug", format: "json", isTerminal: false },
      write: (line) => {
        this.lines.push(JSON.parse(line));
        this.changed();
      },
    });
    const { registry, metrics } = this;
    this.connections = new Connections({ registry, metrics, log, logAccess, idleTimeoutMs });
    const limits = { headBytesMax: 32_768, headTimeoutMs: 5_000, keepAliveTimeoutMs: 5_000 };
    this.inner = new InnerDoor(
      { ...limits, connectionsMax: 100 },
      (arrival, call) => this.onRequest(arrival, call as InnerCall),
    );
    const egress = new EgressPolicy(allowEgress.map(parseEgressRule));
    const { connections, inner } = this;
    this.calls = new Calls({
      registry,
      connections,
      inner,
      egress,
      connectTimeoutMs,
      idleTimeoutMs,
      callsMax,
    });
  }

  /** Opens a door for a raw service, and the one for calls between agents. */
  async listen(service = "db"): Promise<void> {
    this.#listener = await listenTcp({ host: "127.0.0.1", port: 0 }, {
      connectionsMax: 1000,
      onConnection: (socket) => {
        this.connections.take({ socket, service, fields: addressFields(socket) });
      },
    });
  }

  get port(): number {
    return this.#listener!.port;
  }

  /** Links one more agent; settles when it serves. */
  async agent(
    { services = [], tcp = [], token = claims(), streamsMax = 1000 }: {
      services?: string[];
      tcp?: string[];
      token?: TokenClaims;
      streamsMax?: number;
    } = {},
  ): Promise<ScriptedAgent> {
    const [near, far] = memoryLinkPair();
    let made: ScriptedAgent | undefined = undefined as ScriptedAgent | undefined;
    const session: Session = new Session(near, {
      ...{ role: "gateway", helloFields: [], streamsMax, sessionWindowBytes: 1 << 24, budget: this.budget },
      onReady: () => this.changed(),
      onOpen: (stream, open) => this.calls.take({ stream, open, caller: token, from: attachment }),
      onGoAway: () => {},
      onClose: (end) => {
        if (end.fault !== undefined) this.faults.push(end.fault);
        if (made) made.end = end;
        this.registry.remove(attachment);
        this.changed();
      },
    });
    const { name, id, namespace, reach, egress } = token;
    const attachment = madeAttachment(session, {
      ...{ agent: name, tokenId: id, namespace, reach, egress },
      ...{ services: [...services, ...tcp], tcp: new Set(tcp) },
    });
    session.start();
    made = new ScriptedAgent(session, new ScriptedPeer(far), attachment);
    await this.until(() => session.open, () => "the session");
    this.registry.add(attachment);
    this.agents.push(made);
    return made;
  }

  /** Waits for a line of the log that holds all of `fields`, and gives it. */
  async line(fields: Record<string, unknown>): Promise<Record<string, unknown>> {
    const find = (): Record<string, unknown> | undefined =>
      this.lines.find((line) => Object.entries(fields).every(([name, value]) => line[name] === value));
    await this.until(
      () => find() !== undefined,
      () => `${JSON.stringify(fields)} in ${JSON.stringify(this.lines)}`,
    );
    return find()!;
  }

  /** The series of a metric that are not 0, as `name{labels} value`. */
  async series(name: string): Promise<string[]> {
    const lines = (await this.metrics.text()).split("\n").filter((line) => line.startsWith(`${name}{`));
    return lines.filter((line) => !line.endsWith(" 0"));
  }

  /** Ends everything; nothing of what was held may be left. */
  async close(): Promise<void> {
    this.#listener?.close();
    for (const agent of this.agents) agent.peer.close();
    await this.until(
      () => this.agents.every((agent) => agent.end !== undefined),
      () => "the sessions to end",
    );
    await this.connections.finish(0);
    this.inner.cut();
    expect(this.faults).toEqual([]);
    expect(this.budget.heldBytes).toBe(0);
  }
}
