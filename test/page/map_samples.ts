/**
 * Groups, links and edges as the API tells them, for tests of the map.
 *
 * @module
 */
import type { EdgeRecord, GroupView, Link, Mode } from "../../lib/page/core/types.ts";
import { type MapFilters, NO_FILTERS } from "../../lib/page/map/filters.ts";
import { type MapModel, mapModel } from "../../lib/page/map/model.ts";
import { factsByGroup } from "../../lib/page/map/raw_lines.ts";

export const NOW_MS = 1_700_000_000_000;

export function edge(fields: Partial<EdgeRecord> = {}): EdgeRecord {
  const found = {
    direction: "north-south" as const,
    protocol: "http" as const,
    source: "internet",
    destination: "shop/web",
    service: "web",
    host: "",
    port: 0,
    ...fields,
  };
  const { direction, source, destination, service, host, port } = found;
  return {
    id: [direction, source, destination, service, host, port].join(" "),
    state: "learned",
    firstSeenMs: NOW_MS - 60_000,
    lastSeenMs: NOW_MS,
    count: 1,
    droppedCount: 0,
    failedCount: 0,
    inBytes: 10,
    outBytes: 20,
    lastVerdict: "forwarded",
    lastRule: "learned",
    seq: 1,
    ...found,
  };
}

/** From one group to another. */
export function call(source: string, destination: string, fields: Partial<EdgeRecord> = {}): EdgeRecord {
  const service = destination.slice(destination.lastIndexOf("/") + 1);
  return edge({ direction: "east-west", source, destination, service, ...fields });
}

/** From a group to a host outside. */
export function visit(source: string, host: string, fields: Partial<EdgeRecord> = {}): EdgeRecord {
  return edge({ direction: "egress", source, destination: "", service: "", host, port: 443, ...fields });
}

export function group(id: string, fields: Partial<GroupView> = {}): GroupView {
  const at = id.indexOf("/");
  const image = id.slice(at + 1);
  return {
    id,
    namespace: id.slice(0, at),
    image,
    services: [image.slice(image.lastIndexOf("/") + 1)],
    agents: [`${image}-1`],
    modes: modes("learn"),
    learning: [],
    ...fields,
  };
}

export function modes(northSouth: Mode, eastWest = northSouth, egress = northSouth): GroupView["modes"] {
  const of = (mode: Mode) => ({ mode, origin: "default" as const });
  return { "north-south": of(northSouth), "east-west": of(eastWest), egress: of(egress) };
}

export function learning(
  state: GroupView["learning"][number]["state"],
  fields: Partial<GroupView["learning"][number]> = {},
): GroupView["learning"][number] {
  return {
    ...{ direction: "north-south", state, reasons: [], sinceMs: NOW_MS - 60_000, samples: 10, edges: 1 },
    ...{ routes: 1, lastNewMs: NOW_MS, unseenShare: 0 },
    ...fields,
  };
}

export function link(groupId: string, fields: Partial<Link> = {}): Link {
  const at = groupId.indexOf("/");
  return {
    agent: `${groupId.slice(at + 1)}-1`,
    group: groupId,
    namespace: groupId.slice(0, at),
    image: groupId.slice(at + 1),
    peer: "192.0.2.7:4711",
    services: [],
    reach: [],
    egress: false,
    tcp: [],
    wall: { state: "whole", listeners: 0, exposed: [], faults: [] },
    since: new Date(NOW_MS).toISOString(),
    streams: 1,
    roundTripMs: 1.25,
    leaving: false,
    claimed: {},
    ...fields,
  };
}

export interface Sample {
  readonly groups?: readonly GroupView[];
  readonly edges?: readonly EdgeRecord[];
  readonly links?: readonly Link[];
  readonly rates?: ReadonlyMap<string, number>;
  readonly filters?: Partial<MapFilters>;
}

export function model(
  { groups = [], edges = [], links = [], rates = new Map(), filters = {} }: Sample,
): MapModel {
  return mapModel({
    facts: factsByGroup(groups, links),
    edges,
    rates,
    filters: { ...NO_FILTERS, ...filters },
    nowMs: NOW_MS,
  });
}

/** A wall of some size, always the same: namespaces of twenty workloads, a quarter of all lines from and to outside. */
export function largeWall(
  workloads: number,
  edgesWanted: number,
  seed = 7,
): Required<Pick<Sample, "groups" | "edges" | "links">> {
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return Math.floor(state / 0x80000000 * below);
  };
  const ids = Array.from({ length: workloads }, (_, index) => `ns-${Math.floor(index / 20)}/image-${index}`);
  const states = ["learned", "learned", "learned", "manual", "unknown", "blocked"] as const;
  const edges = new Map<string, EdgeRecord>();
  while (edges.size < edgesWanted) {
    const [from, to] = [ids[random(workloads)]!, ids[random(workloads)]!];
    const near = `${from.split("/")[0]}/image-${
      Math.floor(Number(from.split("-").at(-1)) / 20) * 20 + random(20)
    }`;
    const kind = random(8);
    const fields = { state: states[random(states.length)]!, count: 1 + random(100_000) };
    const one = kind === 0
      ? edge({ destination: from, service: "web", source: `network-${random(12)}`, ...fields })
      : kind === 1
      ? visit(from, `host-${random(60)}.example`, fields)
      : call(from, ids.includes(near) && kind < 6 ? near : to, fields);
    edges.set(one.id, one);
  }
  return {
    groups: ids.map((id) => group(id)),
    edges: [...edges.values()],
    links: ids.map((id) => link(id)),
  };
}
