/**
 * Values by the ends of a flow: direction, protocol, source, and the service or the host it goes to.
 *
 * Both ends are looked up as the flow carries them, through nested maps: the data path asks for every request and
 * must build no text for it. Nothing is bounded here; whoever sets counts.
 *
 * @module
 */
import { ownCopy } from "../own_copy.ts";
import type { Flow } from "./flow.ts";
import type { FlowRecord } from "./record.ts";

/** The ends of a flow, flat, as records write them. */
export type Ends = Pick<
  FlowRecord,
  "direction" | "protocol" | "source" | "destination" | "service" | "host" | "port"
>;

/** The longest text of one end that is kept: the id of a group has 577 characters, the name of a host 255. */
export const END_CHARS_MAX = 1_024;

/** By host, then port; or by service, then the id of the group. */
type Slot<T> = Map<string, Map<string | number, T>>;

/**
 * The ends of a flow as a record has them.
 *
 * @param source The id of the source's group, or the name of its network.
 * @returns `undefined` when a text is longer than any honest one.
 */
export function endsOf(flow: Flow, source: string): Ends | undefined {
  const { destination: to } = flow;
  const ends: Ends = {
    direction: flow.direction,
    protocol: flow.protocol,
    source,
    destination: to.kind === "service" ? to.group.id : "",
    service: to.kind === "service" ? to.service : "",
    host: to.kind === "host" ? ownCopy(to.host) : "",
    port: to.kind === "host" ? to.port : 0,
  };
  const longest = Math.max(source.length, ends.destination.length, ends.service.length, ends.host.length);
  return longest > END_CHARS_MAX ? undefined : ends;
}

export class EndsMap<T> {
  readonly #sources = new Map<string, (Slot<T> | undefined)[]>();

  /** @param source The id of the source's group, or the name of its network. */
  get(flow: Flow, source: string): T | undefined {
    const { destination: to } = flow;
    const isHost = to.kind === "host";
    const slot = this.#sources.get(source)?.[slotOf(flow.direction, flow.protocol, isHost)];
    if (slot === undefined) return undefined;
    return isHost ? slot.get(to.host)?.get(to.port) : slot.get(to.service)?.get(to.group.id);
  }

  set(ends: Ends, value: T): void {
    const [index, outer, inner] = keysOf(ends);
    const slots = this.#sources.get(ends.source) ?? [];
    const slot: Slot<T> = slots[index] ?? new Map();
    const values = slot.get(outer) ?? new Map<string | number, T>();
    values.set(inner, value);
    slot.set(outer, values);
    slots[index] = slot;
    this.#sources.set(ends.source, slots);
  }

  delete(ends: Ends): void {
    const [index, outer, inner] = keysOf(ends);
    const slots = this.#sources.get(ends.source);
    const slot = slots?.[index];
    const values = slot?.get(outer);
    if (slots === undefined || slot === undefined || values === undefined) return;
    values.delete(inner);
    if (values.size > 0) return;
    slot.delete(outer);
    if (slot.size > 0) return;
    slots[index] = undefined;
    if (slots.every((left) => left === undefined)) this.#sources.delete(ends.source);
  }

  /** How many sources have a value. */
  get sources(): number {
    return this.#sources.size;
  }
}

function slotOf(direction: Flow["direction"], protocol: Flow["protocol"], isHost: boolean): number {
  const of = direction === "north-south" ? 0 : direction === "east-west" ? 4 : 8;
  return of + (protocol === "http" ? 0 : 2) + (isHost ? 1 : 0);
}

function keysOf(ends: Ends): [number, string, string | number] {
  // A service always has a name, a host never has one.
  const isHost = ends.service === "";
  const index = slotOf(ends.direction, ends.protocol, isHost);
  return isHost ? [index, ends.host, ends.port] : [index, ends.service, ends.destination];
}
