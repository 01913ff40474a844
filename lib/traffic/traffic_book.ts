/**
 * How much traffic each service has: requests and connections, how they ended, how long they took, and their bytes.
 *
 * Only counts are kept, so it costs less than a microsecond a request and a bounded memory: at most `SERVICES_MAX`
 * services of 75 KiB, 75 MiB in all, if every one of them had traffic all day.
 *
 * @module
 */
import {
  ServiceSeries,
  type TrafficColumns,
  type TrafficProtocol,
  type WindowName,
  WINDOWS,
} from "./service_series.ts";
import { inOneGo, type Steps } from "./steps.ts";

/** Services that are told apart, those of HTTP and of raw connections together. All others are one, named `*`. */
export const SERVICES_MAX = 1_024;
/** The name of all that are too many. */
export const OTHER_SERVICES = "*";
/** A service without traffic for so long shows nothing in any window: another may have its place. */
const FORGOTTEN_MS = WINDOWS["24h"].stepMs * WINDOWS["24h"].steps;
/** How often places are looked for when there is none. */
const LOOK_MS = 60_000;

export interface ServiceTraffic extends TrafficColumns {
  readonly service: string;
  readonly protocol: TrafficProtocol;
}

export interface Traffic {
  readonly window: WindowName;
  readonly stepMs: number;
  /** When each step begins, since 1970; the last one is under way. */
  readonly timesMs: number[];
  /** By name. Those that had traffic in the window. */
  readonly services: ServiceTraffic[];
}

export class TrafficBook {
  readonly #nowMs: () => number;
  readonly #series: Readonly<Record<TrafficProtocol, Map<string, ServiceSeries>>> = {
    http: new Map(),
    tcp: new Map(),
  };
  #lookedAtMs = -Infinity;

  /** @param nowMs Since 1970. @default Date.now */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /**
   * A request is over.
   *
   * @param service Empty when no route was found.
   * @param status What the visitor got; 0 when no head was sent. Over 599 counts as 5xx.
   * @param ms How long it took. That of an upgrade says how long its connection stood, and is not counted.
   */
  request(service: string, status: number, ms: number, inBytes: number, outBytes: number): void {
    const kind = status < 100 ? 5 : Math.min(4, Math.floor(status / 100) - 1);
    this.#of("http", service).record(this.#nowMs(), kind, status === 101 ? -1 : ms, inBytes, outBytes);
  }

  /** A raw connection is over. */
  connection(service: string, failed: boolean, inBytes: number, outBytes: number): void {
    this.#of("tcp", service).record(this.#nowMs(), failed ? 1 : 0, -1, inBytes, outBytes);
  }

  /** @param service That one alone. */
  read(window: WindowName, service?: string): Traffic {
    return inOneGo(this.readSteps(window, service));
  }

  /** The same in steps: a thousand services take a fifth of a second. */
  *readSteps(window: WindowName, service?: string): Steps<Traffic> {
    const nowMs = this.#nowMs();
    const { stepMs, steps } = WINDOWS[window];
    const lastMs = Math.floor(nowMs / stepMs) * stepMs;
    const services: ServiceTraffic[] = [];
    for (const protocol of ["http", "tcp"] as const) {
      for (const [name, series] of this.#series[protocol]) {
        if (service !== undefined && service !== name || series.lastMs < nowMs - steps * stepMs) continue;
        const columns = series.read(window, nowMs);
        yield;
        if (columns.requests.some((count) => count > 0)) {
          services.push({ service: name, protocol, ...columns });
        }
      }
    }
    services.sort((a, b) => a.service < b.service ? -1 : a.service > b.service ? 1 : 0);
    const timesMs = Array.from({ length: steps }, (_, i) => lastMs - (steps - 1 - i) * stepMs);
    return { window, stepMs, timesMs, services };
  }

  #of(protocol: TrafficProtocol, service: string): ServiceSeries {
    const known = this.#series[protocol].get(service);
    if (known !== undefined) return known;
    const name = this.#hasRoom() ? service : OTHER_SERVICES;
    const other = this.#series[protocol].get(name);
    if (other !== undefined) return other;
    const made = new ServiceSeries(protocol);
    this.#series[protocol].set(name, made);
    return made;
  }

  /** Two places are for those that are too many. */
  #hasRoom(): boolean {
    const { http, tcp } = this.#series;
    const isFull = (): boolean => http.size + tcp.size >= SERVICES_MAX - 2;
    const nowMs = this.#nowMs();
    if (!isFull()) return true;
    if (nowMs - this.#lookedAtMs < LOOK_MS && nowMs >= this.#lookedAtMs) return false;
    this.#lookedAtMs = nowMs;
    for (const map of [http, tcp]) {
      for (const [name, { lastMs }] of map) if (nowMs - lastMs > FORGOTTEN_MS) map.delete(name);
    }
    return !isFull();
  }
}
