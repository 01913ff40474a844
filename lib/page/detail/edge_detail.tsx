/**
 * One edge: what it joins, what the firewall makes of it, what goes over it, and what can be done about it.
 *
 * @module
 */
import type { JSX } from "preact";
import { ask } from "../core/api.ts";
import { ago, bytes, count, moment } from "../core/format.ts";
import { edges, isLoaded, nowMs, rates } from "../core/state.ts";
import type { EdgeRecord, ModelEdge } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { partsOf } from "../core/change.ts";
import { setParams } from "../core/router.ts";
import { Badge } from "../ui/badge.tsx";
import { ViewLink } from "../ui/link.tsx";
import { EdgeButtons } from "./edge_buttons.tsx";
import {
  defaultRuleWords,
  destinationText,
  eventFiltersOf,
  modelEdgeOf,
  modelGroupOf,
  STATE_WORDS,
  targetText,
} from "./edge_facts.ts";
import { EdgeTrafficPlot } from "./edge_traffic.tsx";
import { Fact } from "./fact.tsx";
import { LatestEvents } from "./latest_events.tsx";
import { Operations } from "./operations.tsx";
import { SidePanel } from "./side_panel.tsx";
import { useReading } from "./use_reading.ts";

const MODEL_EVERY_MS = 10_000;

export function EdgeDetail(
  { id, onClose }: { readonly id: string; readonly onClose: () => void },
): JSX.Element {
  const edge = edges.value.get(id);
  if (edge === undefined) {
    return (
      <SidePanel title="Edge" onClose={onClose}>
        {isLoaded.value
          ? <p>There is no such edge: it may have made room for others. Choose one on the map.</p>
          : <p aria-busy="true">Reading the edges…</p>}
      </SidePanel>
    );
  }
  return (
    <SidePanel title={`${visible(edge.source)} → ${targetText(edge)}`} onClose={onClose}>
      <p>
        <Badge word={edge.state} /> {STATE_WORDS[edge.state]}
      </p>
      <EdgeButtons edge={edge} />
      <EdgeFacts edge={edge} />
      <EdgeTrafficPlot id={id} />
      {edge.protocol === "http" && <LearnedRoutes edge={edge} />}
      <LatestEvents filters={eventFiltersOf(edge)} />
    </SidePanel>
  );
}

function EdgeFacts({ edge }: { readonly edge: EdgeRecord }): JSX.Element {
  const rate = rates.value.get(edge.id);
  return (
    <dl class="facts">
      <Fact words="From">
        <End name={edge.source} />
      </Fact>
      <Fact words="To">
        {edge.destination === ""
          ? destinationText(edge)
          : <End name={edge.destination} service={edge.service} />}
      </Fact>
      <Fact words="Direction">{edge.direction}, {edge.protocol}</Fact>
      <Fact words="Decided by">
        <Decided edge={edge} />
      </Fact>
      <Fact words="Requests and connections">
        {count(edge.count)}
        {rate !== undefined && `, now ${count(rate)} a second`}
      </Fact>
      <Fact words="Dropped">{count(edge.droppedCount)}</Fact>
      <Fact words="Failed">{count(edge.failedCount)}</Fact>
      <Fact words="Bytes">{bytes(edge.inBytes)} in, {bytes(edge.outBytes)} out</Fact>
      <Fact words="First seen">{moment(edge.firstSeenMs)}</Fact>
      <Fact words="Last seen">{moment(edge.lastSeenMs)}, {ago(edge.lastSeenMs, nowMs.value)}</Fact>
    </dl>
  );
}

/** An end that is a group opens it here. */
function End({ name, service = "" }: { readonly name: string; readonly service?: string }): JSX.Element {
  if (partsOf(name) === undefined) return <span>{visible(name)}</span>;
  return (
    <span>
      <button
        type="button"
        class="link-like"
        title="Show this group"
        onClick={() => setParams({ group: name, edge: undefined }, "push")}
      >
        {visible(name)}
      </button>{" "}
      {visible(service)}
    </span>
  );
}

function Decided({ edge }: { readonly edge: EdgeRecord }): JSX.Element {
  const words = defaultRuleWords(edge.lastRule);
  return (
    <span>
      <Badge word={edge.lastVerdict} /> by{" "}
      {words ?? (
        <ViewLink view="policy" params={{ rule: edge.lastRule }}>the rule {visible(edge.lastRule)}</ViewLink>
      )}
    </span>
  );
}

function LearnedRoutes({ edge }: { readonly edge: EdgeRecord }): JSX.Element {
  const group = modelGroupOf(edge);
  const { value, fault } = useReading(
    group,
    MODEL_EVERY_MS,
    (signal) => ask<{ edges: ModelEdge[] }>("GET", "/groups/model", { query: { group }, signal }),
  );
  const learned = value && modelEdgeOf(edge, value.edges);
  return (
    <section>
      <h3>Learned routes</h3>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {value !== undefined && learned === undefined && <p class="muted">Nothing of this edge was learned.</p>}
      {learned && <Operations edge={learned} />}
    </section>
  );
}
