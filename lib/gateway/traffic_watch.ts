/**
 * record: what is kept of the traffic beside the metrics, so that people can see it: counts by service and time, the
 * last requests, and bodies while somebody records them.
 *
 * @module
 */
import type { ForwardFacts } from "../http/forward_options.ts";
import { ruleNameOf } from "../policy/flow.ts";
import type { BodyTap } from "../traffic/recordings.ts";
import { Recordings } from "../traffic/recordings.ts";
import { RequestLog } from "../traffic/request_log.ts";
import { TrafficBook } from "../traffic/traffic_book.ts";
import type { GatewayVisit } from "./flows.ts";

/** How a request ended. */
export interface RequestEnd
  extends Pick<ForwardFacts, "status" | "fields" | "requestBytes" | "responseBytes"> {
  readonly failure: string | undefined;
}

/** How a raw connection ended. */
export interface ConnectionEnd {
  readonly direction: "north-south" | "east-west" | "egress";
  readonly service: string;
  /** The name of the agent that called, for a call to the outside. */
  readonly source: string;
  readonly failure: string | undefined;
  readonly inBytes: number;
  readonly outBytes: number;
  /** Its bytes are requests, which are recorded one by one. */
  readonly carriesHttp?: boolean;
}

/** Calls to the outside stand under this and the name of the agent: no service has a slash. */
const EGRESS_PREFIX = "egress/";

export class TrafficWatch {
  readonly book = new TrafficBook();
  readonly log = new RequestLog();
  readonly recordings = new Recordings();

  /** What is to hear the bodies of an attempt to forward; `undefined` when they are not recorded. */
  tap(visit: GatewayVisit): BodyTap | undefined {
    // Only of the attempt that is answered.
    visit.bodies?.release();
    visit.bodies = this.recordings.tap(visit.service, this.log.memory);
    return visit.bodies;
  }

  /** A request is over, and this is what its visitor got. */
  request(visit: GatewayVisit, end: RequestEnd): void {
    const { reading, service, caller, passage } = visit;
    const ms = performance.now() - visit.startMs;
    this.book.request(service, end.status, ms, end.requestBytes, end.responseBytes);
    const judgement = passage?.judgement;
    // One object and no spreads, as this is done for every request.
    this.log.add({
      id: visit.id,
      service,
      agent: visit.agent,
      direction: caller ? "east-west" : "north-south",
      source: caller?.group.id ?? visit.address,
      caller: caller?.agent,
      secure: visit.visitor.scheme === "https",
      method: reading.method,
      host: reading.host,
      target: reading.target,
      hasBody: reading.hasBody,
      upgrade: visit.arrival.upgrade !== undefined,
      requestFields: reading.fields,
      responseFields: end.fields,
      status: end.status,
      atMs: Math.round(Date.now() - ms),
      ms: Math.round(ms * 1000) / 1000,
      requestBytes: end.requestBytes,
      responseBytes: end.responseBytes,
      failure: end.failure,
      verdict: judgement?.verdict,
      rule: judgement && ruleNameOf(judgement.reason),
      replayOf: visit.replayOf,
      bodies: visit.bodies,
    });
    visit.bodies = undefined;
  }

  /** A request that could not be read: nothing is kept of it but that it came. */
  unreadable(status: number): void {
    this.book.request("", status, 0, 0, 0);
  }

  /** A raw connection is over. Those that carry requests are counted as requests. */
  connection(end: ConnectionEnd): void {
    const { direction, service, source, failure, inBytes, outBytes } = end;
    if (end.carriesHttp === true) return;
    const name = direction === "egress" ? `${EGRESS_PREFIX}${source}` : service;
    this.book.connection(name, failure !== undefined, inBytes, outBytes);
  }

  close(): void {
    this.recordings.close();
    this.log.close();
  }
}
