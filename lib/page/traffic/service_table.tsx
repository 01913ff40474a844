/**
 * The services with their numbers of late, the busiest first.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { bytes, count, duration, plural } from "../core/format.ts";
import { setParams } from "../core/router.ts";
import { NO_ROUTE, recentMs, serviceLabel, type ServiceNumbers, sparkPoints } from "./columns.ts";
import type { Traffic } from "./traffic_types.ts";

/** Rows that are drawn until all are asked for. */
const ROWS_SHOWN = 50;
const SPARK_WIDTH = 90;
const SPARK_HEIGHT = 20;

export interface ServiceTableProps {
  readonly traffic: Traffic;
  readonly numbers: readonly ServiceNumbers[];
  readonly chosen: string | undefined;
}

export function ServiceTable({ traffic, numbers, chosen }: ServiceTableProps): JSX.Element {
  const [isAll, setAll] = useState(false);
  const shown = isAll ? numbers : numbers.slice(0, ROWS_SHOWN);
  return (
    <section aria-label="Services">
      <div class="table-frame">
        <table>
          <caption>
            {plural(numbers.length, "service")}, the busiest first; numbers are of the last{" "}
            {duration(recentMs(traffic))}, latencies means of their steps
          </caption>
          <thead>
            <tr>
              <th scope="col">Service</th>
              <th scope="col" class="minor">In {traffic.window}</th>
              <th scope="col" class="number">Requests/s</th>
              <th scope="col" class="number">5xx</th>
              <th scope="col" class="number minor">4xx</th>
              <th scope="col" class="number minor">p50</th>
              <th scope="col" class="number">p95</th>
              <th scope="col" class="number minor">p99</th>
              <th scope="col" class="number minor">In</th>
              <th scope="col" class="number minor">Out</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((each) => (
              <ServiceRow
                key={`${each.protocol} ${each.service}`}
                numbers={each}
                isChosen={each.service === chosen}
              />
            ))}
          </tbody>
        </table>
      </div>
      {numbers.length > shown.length && (
        <button type="button" onClick={() => setAll(true)}>Show all {numbers.length}</button>
      )}
    </section>
  );
}

interface ServiceRowProps {
  readonly numbers: ServiceNumbers;
  readonly isChosen: boolean;
}

function ServiceRow({ numbers, isChosen }: ServiceRowProps): JSX.Element {
  const { service, protocol, perSecond, errorShare, clientErrorShare, requests, spark } = numbers;
  return (
    <tr class={isChosen ? "chosen" : ""}>
      <th scope="row">
        <button
          type="button"
          class="opener"
          aria-pressed={isChosen}
          title={isChosen ? "Show all services" : "Show this service alone"}
          onClick={() => setParams({ service: isChosen ? undefined : service || NO_ROUTE }, "push")}
        >
          {serviceLabel(service)}
        </button>
        {protocol === "tcp" && <span class="muted">raw</span>}
      </th>
      <td class="minor" title={`${count(requests)} in all`}>
        <svg width={SPARK_WIDTH} height={SPARK_HEIGHT} class="spark" aria-hidden="true">
          <polyline points={sparkPoints(spark, SPARK_WIDTH, SPARK_HEIGHT)} />
        </svg>{" "}
        <span>{count(requests)}</span>
      </td>
      <td class="number">{rate(perSecond)}</td>
      <td class={`number ${errorShare ? "is-bad" : ""}`}>{percent(errorShare)}</td>
      <td class="number minor">{protocol === "tcp" ? "–" : percent(clientErrorShare)}</td>
      <td class="number minor">{latency(numbers.p50Ms)}</td>
      <td class="number">{latency(numbers.p95Ms)}</td>
      <td class="number minor">{latency(numbers.p99Ms)}</td>
      <td class="number minor">{bytes(Math.round(numbers.inBytesPerSecond))}/s</td>
      <td class="number minor">{bytes(Math.round(numbers.outBytesPerSecond))}/s</td>
    </tr>
  );
}

function rate(perSecond: number): string {
  return perSecond > 0 && perSecond < 0.1 ? "<0.1" : count(perSecond);
}

/** A share that is not nothing never reads as nothing. */
function percent(share: number | undefined): string {
  if (share === undefined) return "–";
  return share > 0 && share < 0.001 ? "<0.1 %" : `${count(share * 100)} %`;
}

function latency(ms: number | undefined): string {
  return ms === undefined ? "–" : duration(ms);
}
