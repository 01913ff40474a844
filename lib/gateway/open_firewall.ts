/**
 * Opens the firewall: the store, the policy and the model in it, and what is done from time to time.
 *
 * Nothing is judged before the policy is loaded, and the gateway opens no door before that. A store that cannot be
 * opened ends the start; one that fails later raises an alarm, and judging goes on from memory.
 *
 * @module
 */
import { join } from "node:path";
import { ControlError, type StreamMessage } from "../admin/control.ts";
import type { GatewayConfig } from "../config/gateway_config.ts";
import { EventLog } from "../events/event_log.ts";
import type { NetwallEvent } from "../events/event.ts";
import type { EventSink } from "../events/sinks/sink.ts";
import type { Logger } from "../log.ts";
import type { GatewayMetrics } from "../metrics/gateway_metrics.ts";
import { Bans } from "../policy/bans.ts";
import { EdgeBook, EDGES_MAX } from "../policy/edge_book.ts";
import { CompiledPolicy } from "../policy/engine.ts";
import { FlowBook, FLOWS_PER_HOUR_MAX } from "../policy/flow_book.ts";
import { Learner } from "../policy/learner.ts";
import { RateLimiter } from "../policy/rate_limit.ts";
import { RuleHits } from "../policy/rule_hits.ts";
import type { Registry } from "../routing/registry.ts";
import { openSqliteStore } from "../store/sqlite_store.ts";
import type { PolicyVersion, Store } from "../store/store.ts";
import { StoreWriter } from "../store/store_writer.ts";
import { Firewall } from "./firewall.ts";
import { GatewayControl, NETWALL } from "./firewall_control.ts";
import { EventCounts, totalsOf } from "./firewall_totals.ts";
import { HITS_STATE, loadHits, loadModel, loadPolicy, loadStaged } from "./load_policy.ts";
import { Paced } from "./paced.ts";
import { SaturationWatch } from "./saturation.ts";
import { MODEL_STATE, PolicyKeeper } from "./policy_keeper.ts";
import { openSinks } from "./sinks.ts";

/** The file of the store in the data directory. */
export const STORE_FILE = "netwall.db";

/** How often edges and flows that changed are handed to the writer, and the models are looked at. */
const TICK_MS = 1_000;
/** How often the model is written down: what a crash loses of it is learned again. */
const MODEL_SAVE_MS = 10_000;
/** Of the time of the process: a hundred services whose routes are full take 0.3 s to write down. */
const MODEL_SAVE_SHARE_MAX = 0.01;
/** The same for looking whether a model is stable, which includes the promotion: 0.1 s for as many. */
const PROMOTION_SHARE_MAX = 0.1;
/** Edges, and flows, of one tick: the rest waits for the next. */
const BOOK_ROWS_PER_TICK_MAX = 2_000;
/** For sinks to send what they have when the gateway stops. */
const SINKS_GRACE_MS = 2_000;

export interface OpenFirewallOptions {
  readonly config: Readonly<GatewayConfig>;
  readonly log: Logger;
  readonly metrics: GatewayMetrics;
  readonly registry: Registry;
}

export interface RunningFirewall {
  readonly firewall: Firewall;
  readonly control: GatewayControl;
  /** A token of an agent or of the API did not hold. @param code Why, as far as it is told. */
  refusedToken(door: "link" | "admin", peer: string, code: string, failures: number): void;
  /** Writes down what waits. */
  close(): Promise<void>;
}

/**
 * Opens it.
 *
 * @throws {StoreError} The store cannot be opened; the message says what to do.
 * @throws {FirewallFault} A sink cannot be made as it is configured, or what is stored cannot be read.
 */
export function openFirewall(options: OpenFirewallOptions): RunningFirewall {
  const store = openSqliteStore(join(options.config.data, STORE_FILE));
  try {
    return new OpenedFirewall(options, store);
  } catch (error) {
    store.close();
    throw error;
  }
}

class OpenedFirewall implements RunningFirewall {
  readonly firewall: Firewall;
  readonly control: GatewayControl;
  readonly #options: OpenFirewallOptions;
  readonly #store: Store;
  readonly #writer: StoreWriter;
  readonly #learner: Learner;
  readonly #edges: EdgeBook;
  readonly #flows = new FlowBook();
  readonly #hits: RuleHits;
  readonly #events: EventLog;
  readonly #counts = new EventCounts();
  readonly #sinks: EventSink[];
  readonly #listeners = new Set<(message: StreamMessage) => void>();
  readonly #timers: ReturnType<typeof setInterval>[];
  /** A large model is written down, and weighed, less often. */
  readonly #saves = new Paced(MODEL_SAVE_SHARE_MAX);
  readonly #promotions = new Paced(PROMOTION_SHARE_MAX);
  readonly #saturation: SaturationWatch;
  #judgedAtMs = Date.now();

  constructor(options: OpenFirewallOptions, store: Store) {
    const { config, log, metrics, registry } = options;
    const nowMs = (): number => Date.now();
    this.#options = options;
    this.#store = store;
    this.#sinks = openSinks(config.events, log);
    this.#writer = this.#openWriter();
    this.#events = new EventLog({
      nowMs,
      nextSeq: () => this.#writer.nextSeq(),
      write: (event) => this.#writer.event(event),
    });
    this.#events.listen((event) => this.#told(event));
    const { time: timeMs, requests, quiet: quietMs, unseen: unseenShareMax } = config.learning;
    this.#learner = new Learner({ timeMs, requests, quietMs, unseenShareMax, nowMs });
    loadModel(store, this.#learner);
    this.#edges = new EdgeBook({ model: this.#learner });
    this.#edges.restore(store.edges());
    this.#edges.subscribe((edge) => this.#tell({ kind: "edge", edge }));
    const version = loadPolicy(store, nowMs());
    const staged = loadStaged(store);
    const bans = new Bans();
    const limiter = new RateLimiter(bans);
    this.#hits = loadHits(store, nowMs());
    const [learner, edges, hits] = [this.#learner, this.#edges, this.#hits];
    this.firewall = new Firewall(
      { learner, edges, flows: this.#flows, events: this.#events, limiter, hits, nowMs },
      { version: version.version, compiled: new CompiledPolicy(version.document) },
    );
    this.#saturation = new SaturationWatch(this.firewall, learner);
    const keeper = new PolicyKeeper(
      {
        ...{ store, firewall: this.firewall, learner, nowMs },
        forcedMode: config.mode,
        onPolicy: (made, cut, changes) => this.#changed(made, cut, changes),
      },
      version,
      staged,
    );
    this.control = new GatewayControl({
      ...{ keeper, firewall: this.firewall, store, learner, edges, registry, bans, limiter, hits, nowMs },
      save: () => this.#save(),
      unrecorded: () => Object.values(this.#writer.unrecorded).reduce((sum, count) => sum + count, 0),
      storeFault: () => this.#writer.fault?.message,
      subscribe: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    });
    keeper.forceMode(NETWALL);
    keeper.compileStaged();
    metrics.watchFirewall(() =>
      totalsOf({
        ...{ firewall: this.firewall, control: this.control, writer: this.#writer, counts: this.#counts },
        ...{ sinks: this.#sinks, edges },
      })
    );
    this.#timers = [
      setInterval(() => this.#tick(), TICK_MS),
      setInterval(() => this.#saves.run(() => this.#saveModel()), MODEL_SAVE_MS),
    ];
    for (const timer of this.#timers) timer.unref();
  }

  refusedToken(door: "link" | "admin", peer: string, code: string, failures: number): void {
    this.firewall.notice({
      ...{
        time: Date.now(),
        type: "authFailure",
        severity: "warning",
        effect: "prevent",
        verdict: "dropped",
      },
      ...{ rule: { kind: "token", id: code }, source: { kind: "network", name: door, ip: peer } },
      message:
        `${peer} came to the ${door} door with a token that does not hold (${code}), ${failures} times lately`,
    });
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#saveModel();
    this.#save();
    this.#writer.close();
    await Promise.all(this.#sinks.map((sink) => sink.close(SINKS_GRACE_MS)));
    this.#store.close();
  }

  #openWriter(): StoreWriter {
    const { log, config: { events } } = this.#options;
    return new StoreWriter(this.#store, {
      onFault: (error) => {
        log.error("the store cannot be written: what passes is judged, and not recorded", {
          error: error.message,
        });
        this.firewall.notice({
          ...{
            time: Date.now(),
            type: "storeFault",
            severity: "critical",
            effect: "alert",
            verdict: "audited",
          },
          rule: { kind: "implicit" },
          message: `The store cannot be written: ${error.message}`,
        });
      },
      onHealed: () => log.info("the store can be written again"),
      retention: () => ({ beforeMs: Date.now() - events.keep, bytesMax: events.size }),
    });
  }

  /** Hands what changed to the writer, and looks at what time has changed. */
  #tick(): void {
    for (const edge of this.#edges.takeDirty(BOOK_ROWS_PER_TICK_MAX)) this.#writer.edge(edge);
    for (const flow of this.#flows.takeDirty(BOOK_ROWS_PER_TICK_MAX)) this.#writer.flow(flow);
    this.#events.tick();
    this.firewall.settle();
    const nowMs = Date.now();
    // A rule that has expired is a change of the policy that nobody makes.
    if (this.firewall.policy.compiled.hasExpired(this.#judgedAtMs, nowMs)) this.firewall.rejudge();
    this.#judgedAtMs = nowMs;
    if (this.#options.config.learning.promote) this.#promotions.run(() => this.#promote());
  }

  #promote(): void {
    this.#saturation.look(Date.now());
    try {
      this.control.promoteStable();
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      this.#options.log.error("stable models cannot be promoted", { error: error.message });
    }
  }

  #saveModel(): void {
    this.#writer.state(MODEL_STATE, this.#learner.snapshot());
    if (this.#hits.isChanged) this.#writer.state(HITS_STATE, this.#hits.snapshot());
  }

  /** Writes down all that waits, so that what is asked of the store next is complete. */
  #save(): void {
    this.#events.flush();
    // No more at a time than the writer's queues hold; as often as all that there can be needs.
    for (let taken = 0; taken < EDGES_MAX + 2 * FLOWS_PER_HOUR_MAX; taken += BOOK_ROWS_PER_TICK_MAX) {
      const edges = this.#edges.takeDirty(BOOK_ROWS_PER_TICK_MAX);
      const flows = this.#flows.takeDirty(BOOK_ROWS_PER_TICK_MAX);
      for (const edge of edges) this.#writer.edge(edge);
      for (const flow of flows) this.#writer.flow(flow);
      this.#writer.flush();
      if (edges.length + flows.length === 0) break;
    }
  }

  /** An event was written, new or grown: to who listens, and to the sinks. */
  #told(event: NetwallEvent): void {
    this.#counts.add(event);
    this.#tell({ kind: "event", event });
    for (const sink of this.#sinks) sink.put(event);
  }

  #tell(message: StreamMessage): void {
    for (const listener of this.#listeners) listener(message);
  }

  #changed({ version, by, comment }: PolicyVersion, cut: number, changes: string): void {
    // The model was written with the change: one that still waits is older, and must not come after it.
    this.#writer.state(MODEL_STATE);
    this.#options.log.info("policy", { version, by, comment, changes, cut });
    this.#tell({ kind: "policy", version });
    this.firewall.notice({
      ...{ time: Date.now(), type: "policyChange", severity: "info", effect: "allow", verdict: "forwarded" },
      ...{ rule: { kind: "rule" }, policyVersion: version },
      message: [`${by} made version ${version} of the policy`, comment, changes].filter((it) => it !== "")
        .join(": "),
    });
  }
}
