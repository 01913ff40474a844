/**
 * The map as two tables: for screen readers, for phones, and for who wants to sort.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { ago, bytes, count, duration, moment, plural } from "../core/format.ts";
import { place, setParams } from "../core/router.ts";
import { nowMs } from "../core/state.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import type { WorkloadFacts } from "./facts.ts";
import { alertWords } from "./alerts.ts";
import { AlertSample, Sample } from "./legend.tsx";
import { type RawLine, STATE_WORDS, targetOf } from "./line.ts";
import type { MapModel } from "./model.ts";
import { destinationOf, type Order, ordered, parseOrder } from "./order.ts";

/** Rows that are shown at first, and with each click more. */
const ROWS_MAX = 200;

export function EdgeList({ model }: { readonly model: MapModel }): JSX.Element {
  const [shown, setShown] = useState(ROWS_MAX);
  const order = parseOrder(place.value.params.get("sort"));
  const lines = useMemo(() => ordered(model.raw, order), [model.raw, order]);
  const chosen = place.value.params.get("edge");
  return (
    <div class="map-list">
      <div class="table-frame">
        <table class="cards">
          <caption>
            {plural(model.raw.length, "edge")}
            {model.raw.length < model.total ? ` of ${count(model.total)}: the filters hide the rest` : ""}
          </caption>
          <thead>
            <tr>
              <Head order="state" now={order}>State</Head>
              <Head order="from" now={order}>From</Head>
              <Head order="to" now={order}>To</Head>
              <th scope="col">Direction</th>
              <Head order="count" now={order} isNumber>Count</Head>
              <th scope="col" class="number">Dropped</th>
              <th scope="col" class="number">Bytes</th>
              <Head order="seen" now={order}>Last seen</Head>
            </tr>
          </thead>
          <tbody>
            {lines.slice(0, shown).map((line) => (
              <EdgeRow key={line.record.id} line={line} isChosen={line.record.id === chosen} />
            ))}
          </tbody>
        </table>
      </div>
      {lines.length > shown && (
        <button type="button" onClick={() => setShown(shown + ROWS_MAX)}>
          Show {Math.min(ROWS_MAX, lines.length - shown)} more of {count(lines.length - shown)}
        </button>
      )}
      <WorkloadTable model={model} />
    </div>
  );
}

interface HeadProps {
  readonly order: Order;
  readonly now: Order;
  readonly isNumber?: boolean;
  readonly children: ComponentChildren;
}

/** The head of a column that can be sorted by. */
function Head({ order, now, isNumber, children }: HeadProps): JSX.Element {
  const isDown = order === "count" || order === "seen";
  return (
    <th
      scope="col"
      class={isNumber ? "number" : undefined}
      aria-sort={order === now ? (isDown ? "descending" : "ascending") : undefined}
    >
      <button
        type="button"
        class="quiet"
        onClick={() => setParams({ sort: order === "state" ? undefined : order }, "push")}
      >
        {children}
        <span aria-hidden="true">{order === now ? (isDown ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
}

function EdgeRow({ line, isChosen }: { readonly line: RawLine; readonly isChosen: boolean }): JSX.Element {
  const { record, state, alerts } = line;
  const { direction, protocol, source, lastSeenMs } = record;
  const [from, to, target] = [source, destinationOf(line), targetOf(record)].map(visible) as [
    string,
    string,
    string,
  ];
  return (
    <tr class={isChosen ? "chosen" : undefined}>
      <td data-label="State">
        <button
          type="button"
          class="quiet map-open"
          aria-label={`${STATE_WORDS[state].name}: open the edge from ${from} to ${to} ${target}`}
          onClick={() => setParams({ edge: record.id, group: undefined }, "push")}
        >
          <Sample state={state} /> {STATE_WORDS[state].name}
        </button>
        {alerts > 0 && (
          <span class="map-alerts">
            <AlertSample /> {alertWords(alerts)}
          </span>
        )}
      </td>
      <td data-label="From" class="long">
        {direction === "north-south" ? from : <GroupButton group={source} />}
      </td>
      <td data-label="To" class="long">
        {record.destination === "" ? target : (
          <span>
            <GroupButton group={record.destination} /> <span class="muted">{target}</span>
          </span>
        )}
      </td>
      <td data-label="Direction">{direction}, {protocol}</td>
      <td data-label="Count" class="number">{count(record.count)}</td>
      <td data-label="Dropped" class="number">{count(record.droppedCount)}</td>
      <td data-label="Bytes" class="number">{bytes(record.inBytes + record.outBytes)}</td>
      <td data-label="Last seen" title={moment(lastSeenMs)}>{ago(lastSeenMs, nowMs.value)}</td>
    </tr>
  );
}

function GroupButton({ group }: { readonly group: string }): JSX.Element {
  const name = visible(group);
  return (
    <button
      type="button"
      class="map-name"
      aria-label={`Open the workload ${name}`}
      onClick={() => setParams({ group, edge: undefined }, "push")}
    >
      {name}
    </button>
  );
}

function WorkloadTable({ model }: { readonly model: MapModel }): JSX.Element {
  const { workloads } = model;
  const [shown, setShown] = useState(ROWS_MAX);
  return (
    <>
      <div class="table-frame">
        <table class="cards">
          <caption>{plural(workloads.length, "workload")}</caption>
          <thead>
            <tr>
              <th scope="col">Workload</th>
              <th scope="col">Services</th>
              <th scope="col">Mode</th>
              <th scope="col">Learning</th>
              <th scope="col">Wall</th>
              <th scope="col">Agents</th>
            </tr>
          </thead>
          <tbody>
            {workloads.slice(0, shown).map((facts) => <WorkloadRow key={facts.group} facts={facts} />)}
          </tbody>
        </table>
      </div>
      {workloads.length > shown && (
        <button type="button" onClick={() => setShown(shown + ROWS_MAX)}>Show more workloads</button>
      )}
    </>
  );
}

function WorkloadRow({ facts }: { readonly facts: WorkloadFacts }): JSX.Element {
  const { group, services, mode, isMixed, learning, wants, wall, agents, roundTripMs, words } = facts;
  return (
    <tr>
      <td data-label="Workload" class="long">
        <GroupButton group={group} />
      </td>
      <td data-label="Services" class="long">{visible(services.join(", "))}</td>
      <td data-label="Mode" title={words}>
        {mode === undefined ? "unknown" : <Badge word={mode} />} {isMixed ? "at its strictest" : ""}
      </td>
      <td data-label="Learning" title={words}>
        {learning === "none" ? "nothing seen yet" : learning}
        {wants > 0 ? `, ${plural(wants, "condition")} left` : ""}
      </td>
      <td data-label="Wall" title={words}>
        <Badge word={wall} />
      </td>
      <td data-label="Agents">
        {roundTripMs === undefined ? "gone" : `${plural(agents, "agent")}, ${duration(roundTripMs)}`}
      </td>
    </tr>
  );
}
