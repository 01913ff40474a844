/**
 * A firewall with all its parts in one process: a store in memory, a clock that stands still, no timers.
 *
 * @module
 */
import { Firewall } from "../../lib/gateway/firewall.ts";
import { GatewayControl } from "../../lib/gateway/firewall_control.ts";
import { connectionEnds, egressEnds } from "../../lib/gateway/flows.ts";
import type { Passage, PassageEnds } from "../../lib/gateway/passage.ts";
import { PolicyKeeper } from "../../lib/gateway/policy_keeper.ts";
import type { NetwallEvent } from "../../lib/events/event.ts";
import { EventLog } from "../../lib/events/event_log.ts";
import { Bans } from "../../lib/policy/bans.ts";
import { defaultPolicy, type PolicyDocument, policySchema } from "../../lib/policy/document.ts";
import { EdgeBook } from "../../lib/policy/edge_book.ts";
import { CompiledPolicy } from "../../lib/policy/engine.ts";
import { FlowBook } from "../../lib/policy/flow_book.ts";
import { Learner } from "../../lib/policy/learner.ts";
import type { Mode } from "../../lib/policy/mode.ts";
import { RateLimiter } from "../../lib/policy/rate_limit.ts";
import { RuleHits } from "../../lib/policy/rule_hits.ts";
import { type Attachment, Registry } from "../../lib/routing/registry.ts";
import { MemoryStore } from "../../lib/store/memory_store.ts";
import type { Store } from "../../lib/store/store.ts";
import { madeAttachment } from "./attachment.ts";

/** 2026-01-01, so that nothing depends on when the test runs. */
const START_MS = 1_767_225_600_000;

export const OPERATOR = { name: "alice", role: "operator" } as const;

/** A link of an agent of `NAMESPACE/IMAGE`. */
export function agentOf(
  image: string,
  services: string[] = [],
  change: Partial<Attachment> = {},
): Attachment {
  const agent = `${image}-1`;
  return madeAttachment({}, { agent, image: `${image}:1.0`, namespace: "shop", services, ...change });
}

export class FirewallRig {
  nowMs = START_MS;
  readonly store: Store;
  readonly learner: Learner;
  readonly edges: EdgeBook;
  readonly flows = new FlowBook();
  readonly events: EventLog;
  readonly bans = new Bans();
  readonly hits = new RuleHits(START_MS);
  readonly registry = new Registry();
  readonly firewall: Firewall;
  readonly keeper: PolicyKeeper;
  readonly control: GatewayControl;
  /** What was noticed, by id, as it was written last. */
  readonly noticed = new Map<string, NetwallEvent>();
  readonly versions: { version: number; cut: number }[] = [];
  #seq = 0;

  /** @param forcedMode What the gateway was started with. */
  constructor(
    document: PolicyDocument = defaultPolicy(),
    store: Store = new MemoryStore(),
    forcedMode?: Mode,
  ) {
    this.store = store;
    const nowMs = (): number => this.nowMs;
    this.events = new EventLog({
      nowMs,
      nextSeq: () => ++this.#seq,
      write: (event) => {
        this.noticed.set(event.id, event);
        store.putEvents([event]);
      },
    });
    this.learner = new Learner({ timeMs: 1_000, requests: 3, quietMs: 500, unseenShareMax: 0.5, nowMs });
    this.edges = new EdgeBook({ model: this.learner });
    const version = store.addPolicy({ atMs: this.nowMs, by: "netwall", comment: "", document });
    const { learner, edges, flows, events, registry, bans, hits } = this;
    const limiter = new RateLimiter(bans);
    this.firewall = new Firewall(
      { learner, edges, flows, events, limiter, hits, nowMs },
      { version: version.version, compiled: new CompiledPolicy(document) },
    );
    this.keeper = new PolicyKeeper(
      {
        ...{ store, firewall: this.firewall, learner, nowMs, forcedMode },
        onPolicy: (made, cut) => void this.versions.push({ version: made.version, cut }),
      },
      version,
      undefined,
    );
    this.control = new GatewayControl({
      ...{
        keeper: this.keeper,
        firewall: this.firewall,
        store,
        learner,
        edges,
        registry,
        bans,
        limiter,
        hits,
        nowMs,
      },
      unrecorded: () => 0,
      storeFault: () => undefined,
      subscribe: () => () => {},
      save: () => {
        store.putEdges(edges.takeDirty(1_000));
        store.addFlows(flows.takeDirty(1_000));
        events.flush();
      },
    });
  }

  /** The policy in force with another mode for groups that have none. */
  static inMode(mode: Mode): FirewallRig {
    return new FirewallRig(defaultPolicy(mode));
  }

  /** All events, oldest first. */
  get told(): NetwallEvent[] {
    this.events.flush();
    return [...this.noticed.values()];
  }

  /** A raw connection that is made, if it may be. */
  connect(from: Attachment, service: string, to: Attachment): OpenConnection {
    return this.open(connectionEnds(from, "", service, to));
  }

  call(from: Attachment, host: string, port: number): OpenConnection {
    return this.open(egressEnds(from, host, port));
  }

  open(ends: PassageEnds): OpenConnection {
    const passage = this.firewall.admit(ends);
    const made: OpenConnection = { passage, cut: undefined, verdict: passage.judgement.verdict };
    if (made.verdict === "dropped") return made;
    passage.exchange = {
      deny: (detail) => {
        made.cut = detail;
        this.firewall.end(passage, { ok: true, inBytes: 0, outBytes: 0 });
      },
    };
    this.firewall.connected(passage);
    return made;
  }

  /** So many connections, one after the other, that all end well. */
  connectTimes(times: number, from: Attachment, service: string, to: Attachment): void {
    for (let time = 0; time < times; time++) {
      const { passage } = this.connect(from, service, to);
      this.firewall.end(passage, { ok: true, inBytes: 1, outBytes: 1 });
    }
  }
}

/** A raw connection as the test sees it. */
export interface OpenConnection {
  readonly passage: Passage;
  readonly verdict: Passage["judgement"]["verdict"];
  /** What it was told when it was cut off. */
  cut: string | undefined;
}

/** A policy with this in its `spec`. */
export function policyOf(spec: object, model?: PolicyDocument["model"]): PolicyDocument {
  return policySchema.parse({ apiVersion: "netwall/v1", kind: "Policy", spec, ...(model && { model }) });
}
