/**
 * A listener for visitors whose only link leads to a scripted agent: what a gateway does, without routes and tokens.
 *
 * @module
 */
import { problem } from "../../lib/admin/problem.ts";
import { FAILURE_STATUS } from "../../lib/http/failure.ts";
import { forward } from "../../lib/http/forward.ts";
import type { ForwardFacts, ForwardOptions } from "../../lib/http/forward_options.ts";
import { forwardUpgrade } from "../../lib/http/forward_upgrade.ts";
import { readRequest } from "../../lib/http/reading.ts";
import { upgradeProtocols, writeAnswer } from "../../lib/http/visit.ts";
import { type Arrival, VisitorServer } from "../../lib/http/visitor_server.ts";
import { memoryLinkPair } from "../../lib/link/memory.ts";
import { MemoryBudget } from "../../lib/mux/budget.ts";
import { Session } from "../../lib/mux/session.ts";
import type { SessionEnd } from "../../lib/mux/session_options.ts";
import { encodeRequestHead } from "../../lib/wire/head.ts";
import { Changing } from "./raw_http.ts";
import { ScriptedPeer } from "./scripted_peer.ts";

export class HostileAgentRig extends Changing {
  readonly budget = new MemoryBudget(64 << 20, true);
  readonly facts: ForwardFacts[] = [];
  readonly session: Session;
  readonly agent: ScriptedPeer;
  /** How the session ended, if it did. */
  end: SessionEnd | undefined;
  port = 0;
  readonly #server: VisitorServer;
  readonly #limits: Partial<ForwardOptions>;

  constructor(limits: Partial<ForwardOptions>) {
    super();
    this.#limits = limits;
    const [near, far] = memoryLinkPair();
    this.session = new Session(near, {
      ...{
        role: "gateway",
        helloFields: [],
        streamsMax: 0,
        sessionWindowBytes: 1 << 24,
        budget: this.budget,
      },
      onReady: () => this.changed(),
      onOpen: () => {},
      onGoAway: () => {},
      onClose: (end) => {
        this.end = end;
        this.changed();
      },
    });
    this.session.start();
    this.agent = new ScriptedPeer(far);
    this.#server = new VisitorServer({
      ...{ headBytesMax: 32_768, headTimeoutMs: 2_000, keepAliveTimeoutMs: 5_000, connectionsMax: 100 },
      onArrival: (arrival) => void this.#arrive(arrival),
    });
  }

  async listen(): Promise<void> {
    const address = await this.#server.listen({ host: "127.0.0.1", port: 0 });
    this.port = Number(address.slice(address.lastIndexOf(":") + 1));
    await this.until(() => this.session.open, () => "the session");
  }

  /** Waits until that many exchanges are over, and gives the last. */
  async fact(count = 1): Promise<ForwardFacts> {
    await this.until(() => this.facts.length >= count, () => `${count} exchanges to end`);
    return this.facts[count - 1]!;
  }

  async close(): Promise<void> {
    this.session.close("none", "The test is over");
    this.agent.close();
    await this.#server.close(0);
  }

  async #arrive(arrival: Arrival): Promise<void> {
    const { incoming, outgoing, upgrade } = arrival;
    const reading = readRequest(incoming, 32_768);
    if ("detail" in reading) {
      const { status, detail } = reading;
      return writeAnswer(arrival, problem({ status, detail, requestId: "1", page: false }));
    }
    const { method, target, fields, hasBody } = reading;
    const head = encodeRequestHead({ method, target, fields });
    const { session } = this;
    const shared = {
      session,
      service: "web",
      head,
      method,
      answerTimeoutMs: this.#limits.answerTimeoutMs ?? 5_000,
    };
    const protocols = upgradeProtocols(reading.upgrade);
    const facts = upgrade
      ? await forwardUpgrade({
        ...shared,
        socket: upgrade.socket,
        early: upgrade.early,
        upgrade: protocols !== undefined,
      })
      : await forward({
        ...shared,
        ...{ incoming, outgoing: outgoing!, hasBody, bodyBytesMax: 0, idleTimeoutMs: 0 },
        ...this.#limits,
      });
    this.facts.push(facts);
    this.changed();
    if (facts.status === 0 && facts.failure !== undefined && facts.failure !== "visitor_left") {
      const status = facts.tooLarge ? 413 : FAILURE_STATUS[facts.failure];
      writeAnswer(arrival, problem({ status, detail: "no", requestId: "1", page: false }));
    }
  }
}
