/**
 * How a request ended: the answer that the gateway gives itself, the metrics, the traffic that people see, and the
 * line in the log.
 *
 * @module
 */
import { type Failure, FAILURE_STATUS, failureDetail } from "../http/failure.ts";
import type { ForwardFacts } from "../http/forward_options.ts";
import type { RequestFault } from "../http/reading.ts";
import { writeAnswer } from "../http/visit.ts";
import type { Arrival } from "../http/visitor_server.ts";
import type { Logger } from "../log.ts";
import type { GatewayMetrics } from "../metrics/gateway_metrics.ts";
import { problem } from "../admin/problem.ts";
import { judgedFields } from "./connections.ts";
import type { GatewayVisit as Visit } from "./flows.ts";
import { type RequestEnd, TrafficWatch } from "./traffic_watch.ts";

/** How soon a visitor may try again when no agent is there. */
const RETRY_AFTER_SECONDS = 2;

export interface OutcomesOptions {
  metrics: GatewayMetrics;
  log: Logger;
  /** One line for every request, not only for those that failed. */
  logAccess: boolean;
}

export class Outcomes {
  /** What is kept of it for people to see. */
  readonly traffic = new TrafficWatch();
  readonly #metrics: GatewayMetrics;
  readonly #log: Logger;
  readonly #logAccess: boolean;

  constructor(options: OutcomesOptions) {
    this.#metrics = options.metrics;
    this.#log = options.log;
    this.#logAccess = options.logAccess;
  }

  /** A request that cannot be read in one way only. */
  unreadable(arrival: Arrival, fault: RequestFault, requestId: string): void {
    const { status, detail } = fault;
    writeAnswer(arrival, problem({ status, detail, requestId, page: false }), true);
    this.#metrics.request("", status, 0, 0, 0);
    this.traffic.unreadable(status);
    this.#log.debug("refused", { requestId, status, detail });
  }

  /** The gateway says no by itself. */
  refuse(visit: Visit, status: number, detail: string, extra: string[] = []): void {
    const fields = this.#answer(visit, status, detail, undefined, extra);
    this.#end(visit, { status, fields, failure: undefined, requestBytes: 0, responseBytes: 0 });
  }

  /**
   * There is nobody to ask, or nobody answered.
   *
   * @param detail For the visitor.
   * @param logged For the log. @default `detail`
   */
  fail(visit: Visit, failure: Failure, detail: string, logged = detail): void {
    const status = FAILURE_STATUS[failure];
    // Anybody can ask for what is not there.
    if (failure !== "destination_not_found") this.#warn(visit, failure, logged, false);
    if (failure === "connection_limit_reached") this.#metrics.dropped("streams");
    this.#metrics.failure(visit.service, failure);
    const fields = this.#answer(visit, status, detail, failure, []);
    this.#end(visit, { status, fields, failure, requestBytes: 0, responseBytes: 0 });
  }

  /** A request did not reach its target, and is tried on another link. */
  retry({ id: requestId, service, agent }: Visit, { failure, detail }: ForwardFacts): void {
    this.#metrics.retry(service);
    this.#log.warn("request tried on another link", { requestId, service, agent, failure, detail });
  }

  /** A request that was forwarded is over. The visitor is answered if it has no answer yet. */
  record(visit: Visit, facts: ForwardFacts): void {
    const { failure, status } = facts;
    if (failure !== undefined && failure !== "visitor_left") {
      const detail = facts.detail || failureDetail(failure);
      if (status === 0 && facts.tooLarge) {
        this.#warn(visit, failure, detail, false);
        return this.refuse(visit, 413, "The body is too large");
      }
      if (status === 0) return this.fail(visit, failure, failureDetail(failure), detail);
      this.#warn(visit, failure, detail, true);
      this.#metrics.failure(visit.service, failure);
    }
    this.#end(visit, facts);
  }

  #end(visit: Visit, end: RequestEnd): void {
    const { status, requestBytes, responseBytes } = end;
    this.#metrics.request(visit.service, status, secondsOf(visit), requestBytes, responseBytes);
    this.traffic.request(visit, end);
    this.#access(visit, status, requestBytes, responseBytes);
  }

  #warn(visit: Visit, failure: Failure, detail: string, headSent: boolean): void {
    const { id: requestId, service, agent } = visit;
    this.#log.warn("not answered", { requestId, service, agent, failure, detail, headSent });
  }

  #answer(
    visit: Visit,
    status: number,
    detail: string,
    proxyError: string | undefined,
    extra: string[],
  ): readonly string[] {
    const answer = problem({
      status,
      detail,
      requestId: visit.id,
      page: visit.reading.wantsPage,
      ...(proxyError === undefined ? {} : { proxyError }),
      ...(status === 503 ? { retryAfterSeconds: RETRY_AFTER_SECONDS } : {}),
    });
    answer.fields.push(...extra);
    writeAnswer(visit.arrival, answer);
    return answer.fields;
  }

  #access(visit: Visit, status: number, requestBytes: number, responseBytes: number): void {
    if (!this.#logAccess) return;
    const { method, target, host } = visit.reading;
    const ms = Math.round(secondsOf(visit) * 1e6) / 1e3;
    const { id: requestId, address: visitor, service, passage } = visit;
    const judged = passage === undefined ? {} : {
      ...{ direction: passage.flow.direction, contentType: passage.flow.http?.contentType },
      ...judgedFields(passage),
    };
    this.#log.info("request", {
      ...{ requestId, visitor, method, host, target, status, service, ms, requestBytes, responseBytes },
      ...judged,
    });
  }
}

function secondsOf(visit: Visit): number {
  return (performance.now() - visit.startMs) / 1000;
}
