/**
 * One group: its containers and their walls, its modes, how far it has learned, and what it talks to.
 *
 * @module
 */
import type { JSX } from "preact";
import { ask } from "../core/api.ts";
import { partsOf } from "../core/change.ts";
import { plural } from "../core/format.ts";
import { edges, groupById, isLoaded, linksByGroup } from "../core/state.ts";
import type { EdgeRecord, GroupView, ModelEdge } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { ViewLink } from "../ui/link.tsx";
import { edgesOfGroup } from "./edge_facts.ts";
import { EdgeList } from "./edge_list.tsx";
import { Agents } from "./agents.tsx";
import { Fact } from "./fact.tsx";
import { IsolationButtons } from "./isolation_buttons.tsx";
import { LatestEvents } from "./latest_events.tsx";
import { Learning } from "./learning.tsx";
import { Modes } from "./modes.tsx";
import { Operations } from "./operations.tsx";
import { SidePanel } from "./side_panel.tsx";
import { useReading } from "./use_reading.ts";

const MODEL_EVERY_MS = 10_000;
/** Learned edges that are listed; the export of the policy has them all. */
const MODEL_EDGES_MAX = 50;

export function GroupDetail(
  { id, onClose }: { readonly id: string; readonly onClose: () => void },
): JSX.Element {
  const group = groupById.value.get(id);
  const links = linksByGroup.value.get(id) ?? [];
  const { incoming, outgoing } = edgesOfGroup(id, edges.value.values());
  const parts = partsOf(id);
  const isKnown = group !== undefined || links.length > 0 || incoming.length > 0 || outgoing.length > 0;
  if (!isKnown) return <Unknown id={id} onClose={onClose} />;
  return (
    <SidePanel title={visible(parts?.image ?? id)} onClose={onClose}>
      <GroupFacts id={id} group={group} />
      {parts && <IsolationButtons id={id} links={links} />}
      <Modes id={id} group={group} />
      {group && <Learning group={group} />}
      <Agents links={links} />
      <Edges incoming={incoming} outgoing={outgoing} />
      {group && <Learned group={id} />}
      {parts && <LatestEvents filters={filtersOf(parts)} />}
    </SidePanel>
  );
}

/** Events name an image by its tag, and none when the token enrols none. */
function filtersOf({ namespace, image }: { namespace: string; image: string }): Record<string, string> {
  return image.startsWith("~") ? { source: `${namespace}/${image}` } : { namespace, image };
}

function Unknown({ id, onClose }: { readonly id: string; readonly onClose: () => void }): JSX.Element {
  return (
    <SidePanel title="Group" onClose={onClose}>
      {isLoaded.value
        ? (
          <p>
            There is no group{" "}
            <b>{visible(id)}</b>: no agent of it was seen, and no traffic. Choose one on the map.
          </p>
        )
        : <p aria-busy="true">Reading the groups…</p>}
    </SidePanel>
  );
}

function GroupFacts(
  { id, group }: { readonly id: string; readonly group: GroupView | undefined },
): JSX.Element {
  const parts = partsOf(id);
  const services = group?.services ?? [];
  const image = parts?.image ?? "";
  return (
    <dl class="facts">
      <Fact words="Namespace">{visible(parts?.namespace ?? "")}</Fact>
      <Fact words="Image">
        {image.startsWith("~") ? `none enrolled: it is the agent ${visible(image.slice(1))}` : visible(image)}
      </Fact>
      <Fact words="Services">{services.length === 0 ? "serves nothing" : services.join(", ")}</Fact>
      {group === undefined && (
        <Fact words="Known by">its traffic alone: no agent of it was seen since the gateway started</Fact>
      )}
    </dl>
  );
}

interface EdgesProps {
  readonly incoming: readonly EdgeRecord[];
  readonly outgoing: readonly EdgeRecord[];
}

function Edges({ incoming, outgoing }: EdgesProps): JSX.Element {
  return (
    <section>
      <h3>Who calls it: {plural(incoming.length, "edge")}</h3>
      {incoming.length === 0
        ? <p class="muted">Nobody has called it yet.</p>
        : <EdgeList edges={incoming} nameOf={({ source, service }) => `${source} → ${service}`} />}
      <h3>What it calls: {plural(outgoing.length, "edge")}</h3>
      {outgoing.length === 0 ? <p class="muted">It has called nobody yet.</p> : (
        <EdgeList
          edges={outgoing}
          nameOf={({ destination, service, host, port }) =>
            destination === "" ? `${host}:${port}` : `${destination} ${service}`}
        />
      )}
    </section>
  );
}

function Learned({ group }: { readonly group: string }): JSX.Element {
  const { value, fault } = useReading(
    group,
    MODEL_EVERY_MS,
    (signal) => ask<{ edges: ModelEdge[] }>("GET", "/groups/model", { query: { group }, signal }),
  );
  const learned = value?.edges ?? [];
  return (
    <section>
      <h3>What was learned</h3>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {value !== undefined && learned.length === 0 && (
        <p class="muted">Nothing yet: what succeeds is learned.</p>
      )}
      {learned.slice(0, MODEL_EDGES_MAX).map((edge) => (
        <details key={modelEdgeText(edge)}>
          <summary>
            {visible(modelEdgeText(edge))} <span class="muted">{edge.direction}, {edge.protocol}</span>
          </summary>
          <Operations edge={edge} />
        </details>
      ))}
      {learned.length > MODEL_EDGES_MAX && (
        <p>
          The first {MODEL_EDGES_MAX} of {learned.length}: <ViewLink view="policy">the policy</ViewLink>{" "}
          has them all.
        </p>
      )}
    </section>
  );
}

function modelEdgeText({ source, destination, service, host, port }: ModelEdge): string {
  return `${source} → ${destination === undefined ? `${host}:${port}` : `${destination} ${service}`}`;
}
