/**
 * What the admin API may see of the traffic and ask of it. The gateway implements it; the API only speaks it.
 *
 * It is there with and without the firewall. Whatever changes something takes who asked for it, and is in the audit
 * log when it returns.
 *
 * @module
 */
import type { RequestSummary } from "../traffic/kept_request.ts";
import type { Recording } from "../traffic/recordings.ts";
import type { RequestPage, RequestQuery } from "../traffic/request_log.ts";
import type { WindowName } from "../traffic/service_series.ts";
import type { ShownBody } from "../traffic/shown_body.ts";
import type { Turn } from "../traffic/steps.ts";
import type { Traffic } from "../traffic/traffic_book.ts";
import type { Actor } from "./control.ts";

/** A header field as it is shown: a secret value is masked. */
export interface ShownField {
  readonly name: string;
  readonly value: string;
}

/** A message as it is shown. */
export interface ShownMessage {
  readonly fields: readonly ShownField[];
  /** Only for operators, and only where it was recorded and is not empty. */
  readonly body?: ShownBody | undefined;
}

/** A request with its heads. */
export interface RequestRecord extends RequestSummary {
  readonly request: ShownMessage;
  readonly response: ShownMessage;
  /** Fields are missing, as the heads were too long. */
  readonly isCut: boolean;
}

/** An answer, to be compared. */
export interface ReplayedAnswer {
  /** 0 when there was none. */
  readonly status: number;
  readonly ms: number;
  readonly fields: readonly ShownField[];
  readonly body?: ShownBody | undefined;
}

export interface ReplayReport {
  /** The id of the request that was sent. */
  readonly id?: string | undefined;
  readonly original: ReplayedAnswer;
  readonly answer: ReplayedAnswer;
  /** Fields that were left out of the request, as their values were not recorded. */
  readonly omitted: readonly string[];
  readonly differences: readonly ReplayDifference[];
}

export interface ReplayDifference {
  /** `status`, `header NAME`, `body` or `bodyBytes`. */
  readonly part: string;
  readonly before: string;
  readonly after: string;
}

export interface TrafficControl {
  traffic(window: WindowName, service: string | undefined, turn: Turn): Promise<Traffic>;
  requests(query: RequestQuery, turn: Turn): Promise<RequestPage>;
  /**
   * @param withBodies Bodies are for operators.
   * @throws {ControlError} `notFound`.
   */
  request(id: string, withBodies: boolean, turn: Turn): Promise<RequestRecord>;
  recordings(): Recording[];
  /** @throws {ControlError} `notFound`: no such service. `conflict`: too many are recorded. */
  record(wanted: { service: string; minutes: number; bodyBytesMax: number }, by: Actor): Recording;
  /** @throws {ControlError} `notFound`: it is not recorded. */
  stopRecording(service: string, by: Actor): void;
  /**
   * Sends a request once more, as whoever sent it.
   *
   * @throws {ControlError} `notFound`; `conflict`: it cannot be sent again; `unavailable`: no answer came in time.
   */
  replay(id: string, by: Actor, turn: Turn): Promise<ReplayReport>;
}
