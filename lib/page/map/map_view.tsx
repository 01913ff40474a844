/**
 * The map: what talks to what through the wall, and how that stands with the policy. As a drawing, or as a list.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { go, place, setParams } from "../core/router.ts";
import { edges, events, groups, isLoaded, links, nowMs, rates, status } from "../core/state.ts";
import { Empty } from "../ui/empty.tsx";
import { ViewLink } from "../ui/link.tsx";
import { type Alerts, alertsOf, areSameAlerts, NO_ALERTS } from "./alerts.ts";
import { EdgeList } from "./edge_list.tsx";
import { folded, isNarrowed, type MapFilters, NO_FILTERS, paramsOf, parseFilters } from "./filters.ts";
import type { Thing } from "./interaction.ts";
import { type Layout, layoutOf } from "./layout.ts";
import { Legend } from "./legend.tsx";
import { MapCanvas } from "./map_canvas.tsx";
import { type MapModel, mapModel } from "./model.ts";
import { workloadId } from "./node.ts";
import { Pulses } from "./pulses.ts";
import { factsByGroup } from "./raw_lines.ts";
import { Toolbar } from "./toolbar.tsx";

/** On a screen that is no wider than this the list is shown, until the user chooses the map. */
const NARROW = "(max-width: 760px)";

export function MapView(): JSX.Element {
  // Nothing is put in its place before all is known: it would stay there.
  return isLoaded.value ? <Loaded /> : <p class="map-note" aria-busy="true">Reading the map…</p>;
}

function Loaded(): JSX.Element {
  const { params } = place.value;
  const filters = useMemo(() => parseFilters(params), [params]);
  const model = useModel(filters);
  const isNarrow = useNarrow();
  const show = params.get("show") ?? (isNarrow ? "list" : "map");
  const [arranged, setArranged] = useState(0);
  const layout = useLayout(model, arranged);
  const chosenGroup = params.get("group") ?? undefined;
  return (
    <div
      class="map-view"
      onKeyDown={(event) => {
        if (event.key === "Escape" && back(filters)) event.preventDefault();
      }}
    >
      <Toolbar
        filters={filters}
        model={model}
        show={show === "list" ? "list" : "map"}
        chosen={chosenGroup === undefined ? undefined : workloadId(chosenGroup)}
        onArrange={() => setArranged(arranged + 1)}
      />
      <Notice filters={filters} model={model} />
      {model.nodes.length > 0 && (show === "list" ? <EdgeList model={model} /> : (
        <div class="map-frame">
          <Drawing
            model={model}
            layout={layout}
            filters={filters}
            scope={[filters.search, filters.focus, filters.fold, arranged].join("\n")}
          />
          <Legend />
        </div>
      ))}
    </div>
  );
}

interface DrawingProps {
  readonly model: MapModel;
  readonly layout: Layout;
  readonly filters: MapFilters;
  readonly scope: string;
}

function Drawing({ model, layout, filters, scope }: DrawingProps): JSX.Element {
  const pulses = useRef<Pulses | undefined>(undefined);
  pulses.current ??= new Pulses();
  const flashes = useMemo(() => pulses.current!.note(model.lines), [model]);
  const { params } = place.value;
  const group = params.get("group");
  return (
    <MapCanvas
      model={model}
      layout={layout}
      flashes={flashes}
      scope={scope}
      chosenEdge={params.get("edge") ?? undefined}
      chosenNode={group === null ? undefined : workloadId(group)}
      onOpen={(thing) => open(thing, model, filters)}
    />
  );
}

/** Anew whenever something of it has changed; the clock counts only for what falls quiet. */
function useModel(filters: MapFilters): MapModel {
  const now = filters.quietMinutes > 0 ? nowMs.value : 0;
  const alerts = useAlerts();
  const facts = useMemo(() => factsByGroup(groups.value, links.value), [groups.value, links.value]);
  return useMemo(
    () =>
      mapModel({
        facts,
        edges: edges.value.values(),
        rates: rates.value,
        alerts,
        filters,
        nowMs: now,
      }),
    [facts, edges.value, rates.value, alerts, filters, now],
  );
}

/** Alerts fall out of the last minutes in steps of this. */
const ALERTS_STEP_MS = 15_000;

/** The same map until it says something else. */
function useAlerts(): Alerts {
  const kept = useRef(NO_ALERTS);
  const step = Math.floor(nowMs.value / ALERTS_STEP_MS);
  const found = useMemo(
    () => alertsOf(events.value.values(), step * ALERTS_STEP_MS),
    [events.value, step],
  );
  if (!areSameAlerts(kept.current, found)) kept.current = found;
  return kept.current;
}

/** The same as long as the same nodes and lines are there. @param arranged Another number forgets where things stood. */
function useLayout(model: MapModel, arranged: number): Layout {
  const kept = useRef<{ shape: string; arranged: number; layout: Layout } | undefined>(undefined);
  const shape = useMemo(
    () => [...model.nodes.map(({ id }) => id), ...model.lines.map(({ id, to }) => `${id}>${to}`)].join("\n"),
    [model],
  );
  if (kept.current?.shape !== shape || kept.current.arranged !== arranged) {
    const previous = kept.current?.arranged === arranged ? kept.current.layout : undefined;
    kept.current = { shape, arranged, layout: layoutOf(model.nodes, model.lines, previous) };
  }
  return kept.current.layout;
}

function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const follow = (): void => setNarrow(query.matches);
    query.addEventListener("change", follow);
    return () => query.removeEventListener("change", follow);
  }, []);
  return isNarrow;
}

/** Opens what was chosen: the detail of an edge or a workload, a namespace, or what a node outside is joined with. */
function open(thing: Thing, model: MapModel, filters: MapFilters): void {
  if (thing.kind === "gateway") go("links");
  else if (thing.kind === "fold") fold(filters, thing.id, true);
  else if (thing.kind === "line") openLine(thing.id, model, filters);
  else openNode(thing.id, model, filters);
}

function openNode(id: string, model: MapModel, filters: MapFilters): void {
  const node = model.nodes.find((one) => one.id === id);
  if (node?.kind === "workload") setParams({ group: node.facts.group, edge: undefined }, "push");
  else if (node?.kind === "namespace") fold(filters, node.namespace, false);
  else if (node?.names.length === 1) setParams(paramsOf({ focus: filters.focus === id ? "" : id }), "push");
  else setParams({ show: "list" }, "push");
}

/** A line that stands for several opens what it stands for. */
function openLine(id: string, model: MapModel, filters: MapFilters): void {
  const line = model.lines.find((one) => one.id === id);
  if (line === undefined) return;
  const [only, ...others] = line.edges;
  const ends = model.nodes.filter((node) => node.id === line.from || node.id === line.to);
  const shut = ends.flatMap((node) => node.kind === "namespace" ? [node.namespace] : []);
  if (only !== undefined && others.length === 0) setParams({ edge: only, group: undefined }, "push");
  else if (shut.length === 0) setParams({ show: "list" }, "push");
  else {
    const opened = shut.reduce<MapFilters>((now, name) => ({ ...now, ...folded(now, name, false) }), filters);
    setParams(paramsOf({ opened: opened.opened, shut: opened.shut }), "push");
  }
}

function fold(filters: MapFilters, namespace: string, isShut: boolean): void {
  setParams(paramsOf(folded(filters, namespace, isShut)), "push");
}

/** All is shown again, when it was one node and its neighbours. A detail that is open goes first: it closes by itself. */
function back({ focus }: MapFilters): boolean {
  const { params } = place.peek();
  if (focus === "" || params.has("edge") || params.has("group")) return false;
  setParams({ focus: undefined }, "push");
  return true;
}

/** What is missing, and what to do about it; nothing when all is there. */
function Notice(
  { filters, model }: { readonly filters: MapFilters; readonly model: MapModel },
): JSX.Element | null {
  if (status.value !== undefined && status.value.firewall === undefined) {
    return (
      <Empty title="The firewall is off">
        <p>The gateway keeps no edges without it. Start it with a policy to see the map.</p>
      </Empty>
    );
  }
  if (model.total === 0 && links.value.length === 0) {
    return (
      <Empty title="No agent is linked yet">
        <p>Start an agent beside a service: it dials out to this gateway, and shows up here.</p>
        <ViewLink view="links" params={{ add: "agent" }} class="button">Add an agent</ViewLink>
      </Empty>
    );
  }
  if (model.nodes.length === 0 && isNarrowed(filters)) {
    return (
      <Empty title="Nothing matches">
        <p>The map is not empty: the filters hide all of it.</p>
        <button type="button" onClick={() => setParams(paramsOf(NO_FILTERS), "push")}>
          Clear the filters
        </button>
      </Empty>
    );
  }
  return <Remark model={model} />;
}

function Remark({ model }: { readonly model: MapModel }): JSX.Element | null {
  if (model.cut > 0) {
    return (
      <p class="map-note" role="status">
        {model.cut} more lines are not drawn: collapse namespaces, search, or look at the list.
      </p>
    );
  }
  if (model.total > 0) return null;
  const services = [...new Set(links.value.flatMap((link) => link.services))].sort();
  return (
    <p class="map-note" role="status">
      No traffic yet. Send the first request to the public address of the gateway
      {services.length > 0 && (
        <>
          , such as to <b>{services[0]}</b>
        </>
      )}: it shows up here within a second.
    </p>
  );
}
