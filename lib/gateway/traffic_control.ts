/**
 * What operators see of the traffic and do with it, behind the admin API.
 *
 * @module
 */
import { type Actor, ControlError } from "../admin/control.ts";
import type { ReplayReport, RequestRecord, TrafficControl } from "../admin/traffic_control.ts";
import { mayReach } from "../auth/token.ts";
import type { Logger } from "../log.ts";
import type { Attachment, Registry } from "../routing/registry.ts";
import type { Store } from "../store/store.ts";
import type { KeptRequest } from "../traffic/kept_request.ts";
import type { Recording } from "../traffic/recordings.ts";
import { type RequestPage, type RequestQuery, SETTLE_PIECE_MS } from "../traffic/request_log.ts";
import type { WindowName } from "../traffic/service_series.ts";
import type { KeptBody } from "../traffic/shown_body.ts";
import { inTurns, type Turn } from "../traffic/steps.ts";
import type { Traffic } from "../traffic/traffic_book.ts";
import { NETWALL } from "./firewall_control.ts";
import type { InnerDoor } from "./inner_door.ts";
import { bodyOf, reportOf, sendableOf, shownFields } from "./replay_report.ts";
import { sendAgain } from "./replay_request.ts";
import type { TrafficWatch } from "./traffic_watch.ts";

/** Requests that are sent again at once. */
export const REPLAYS_MAX = 4;
/** What the audit log says of the target of one. */
const AUDIT_TARGET_CHARS_MAX = 200;

export interface GatewayTrafficOptions {
  readonly traffic: TrafficWatch;
  readonly inner: Pick<InnerDoor, "connect">;
  readonly registry: Pick<Registry, "all" | "knows">;
  readonly log: Logger;
  /** Where the audit log is; without it the log alone says who did what. */
  readonly store: Pick<Store, "addAudit"> | undefined;
  /** @default REPLAY_TIMEOUT_MS */
  readonly replayTimeoutMs?: number;
}

export class GatewayTraffic implements TrafficControl {
  readonly #options: GatewayTrafficOptions;
  readonly #watch: TrafficWatch;
  #replays = 0;

  constructor(options: GatewayTrafficOptions) {
    this.#options = options;
    this.#watch = options.traffic;
  }

  traffic(window: WindowName, service: string | undefined, turn: Turn): Promise<Traffic> {
    return inTurns(this.#watch.book.readSteps(window, service), turn);
  }

  async requests(query: RequestQuery, turn: Turn): Promise<RequestPage> {
    const { log } = this.#watch;
    // Those that come meanwhile are for the next time: a flood of them must not keep the page waiting.
    let left = log.unsettled;
    while (left > 0) left -= await turn(() => log.settle(SETTLE_PIECE_MS)) || left;
    return await turn(() => log.list(query, SETTLE_PIECE_MS));
  }

  async request(id: string, withBodies: boolean, turn: Turn): Promise<RequestRecord> {
    const kept = this.#find(id);
    const { masks } = this.#watch.log;
    const { requestFields, responseFields, isCut } = kept.heads();
    const summary = kept.summary();
    // They may be pushed out of the log while they are being read.
    const [sent, answered] = withBodies ? [copyOf(kept.bodies?.request), copyOf(kept.bodies?.response)] : [];
    const [request, response] = [
      await bodyOf(sent, requestFields, turn),
      await bodyOf(answered, responseFields, turn),
    ];
    return {
      ...{ ...summary, isCut },
      request: { fields: shownFields(requestFields, masks), ...(request && { body: request }) },
      response: { fields: shownFields(responseFields, masks), ...(response && { body: response }) },
    };
  }

  recordings(): Recording[] {
    return this.#watch.recordings.list();
  }

  record(wanted: { service: string; minutes: number; bodyBytesMax: number }, by: Actor): Recording {
    const { service, minutes, bodyBytesMax } = wanted;
    const { recordings } = this.#watch;
    if (!this.#options.registry.knows(service)) {
      throw new ControlError(`No agent has served ${service} since the start`, "notFound");
    }
    if (!recordings.hasRoomFor(service)) {
      throw new ControlError("Too many services are recorded: stop one first", "conflict");
    }
    const recording = { service, untilMs: Date.now() + minutes * 60_000, bodyBytesMax, by: by.name };
    this.#audit(by, "recording.start", `${service} for ${minutes} min, ${bodyBytesMax} bytes of each body`);
    recordings.start(recording, () => this.#ended(service));
    return recording;
  }

  stopRecording(service: string, by: Actor): void {
    // It ends in any case: an end that cannot be written down is told, and holds.
    if (!this.#watch.recordings.stop(service)) {
      throw new ControlError(`${service} is not recorded`, "notFound");
    }
    this.#audit(by, "recording.stop", service);
  }

  async replay(id: string, by: Actor, turn: Turn): Promise<ReplayReport> {
    const kept = this.#find(id);
    const { facts } = kept;
    const from = this.#callerOf(kept);
    const { body, omitted, ...head } = sendableOf(kept);
    const response = copyOf(kept.bodies?.response);
    if (this.#replays >= REPLAYS_MAX) {
      throw new ControlError("Too many requests are being sent again: wait for them", "unavailable");
    }
    const { masks } = this.#watch.log;
    const target = kept.shown(masks).target.slice(0, AUDIT_TARGET_CHARS_MAX);
    this.#audit(by, "request.replay", `${id} ${facts.service} ${head.method} ${target}`);
    let newId: string | undefined = undefined as string | undefined;
    const call = {
      ...{ replayOf: id, service: facts.service, from, secure: facts.secure },
      address: from === undefined ? facts.source : "",
      onVisit: (visitId: string) => void (newId = visitId),
    };
    this.#replays++;
    const answer = await sendAgain(this.#options.inner, call, head, body, this.#options.replayTimeoutMs)
      .finally(() => this.#replays--);
    if (answer.status === 0) {
      const fault = answer.fault ?? "No answer came";
      throw new ControlError(`${fault}: the log of the gateway says more`, "unavailable");
    }
    const report = await reportOf(kept, response, answer, masks, turn);
    return { ...(newId === undefined ? {} : { id: newId }), ...report, omitted };
  }

  #find(id: string): KeptRequest {
    const kept = this.#watch.log.find(id);
    if (kept !== undefined) return kept;
    throw new ControlError("There is no such request: newer ones may have taken its place", "notFound");
  }

  /** The link of the agent that sent it; `undefined` for a visitor. */
  #callerOf({ facts: { caller, source, service } }: KeptRequest): Attachment | undefined {
    if (caller === undefined) return undefined;
    const isIt = ({ agent, group }: Attachment): boolean => agent === caller && group.id === source;
    const found = this.#options.registry.all().filter(isIt);
    // It may have come back with another token: what that does not allow is not done in its name.
    const allowed = found.find((link) => mayReach(link, service));
    if (allowed !== undefined) return allowed;
    const state = found.length === 0
      ? `${caller}, which sent it, is not linked now`
      : `the token of ${caller}, which sent it, does not let it reach ${service} any more`;
    throw new ControlError(`Cannot send it again: ${state}`, "conflict");
  }

  #ended(service: string): void {
    try {
      this.#audit(NETWALL, "recording.stop", `${service}: its time is over`);
    } catch (error) {
      this.#options.log.error("the end of a recording is not in the audit log", { service, error });
    }
  }

  #audit({ name, role }: Actor, action: string, detail: string): void {
    this.#options.store?.addAudit({ atMs: Date.now(), by: name, role, action, detail });
    this.#options.log.info("audit", { by: name, action, detail });
  }
}

function copyOf(body: KeptBody | undefined): KeptBody | undefined {
  return body && { bytes: body.bytes, totalBytes: body.totalBytes, isCut: body.isCut };
}
