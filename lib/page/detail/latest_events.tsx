/**
 * The latest events of an edge or a group, in short.
 *
 * @module
 */
import type { JSX } from "preact";
import { ask } from "../core/api.ts";
import { count, shortMoment } from "../core/format.ts";
import { nowMs } from "../core/state.ts";
import type { NetwallEvent } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { ViewLink } from "../ui/link.tsx";
import { useReading } from "./use_reading.ts";

const SHOWN = 5;
const EVERY_MS = 5_000;

/** @param filters As the API takes them: see `eventFilterSchema`. */
export function LatestEvents(
  { filters }: { readonly filters: Readonly<Record<string, string>> },
): JSX.Element {
  const { value, fault } = useReading(
    JSON.stringify(filters),
    EVERY_MS,
    (signal) =>
      ask<{ items: NetwallEvent[] }>("GET", "/events", { query: { ...filters, limit: SHOWN }, signal }),
  );
  return (
    <section>
      <h3>Latest events</h3>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {value?.items.length === 0 && <p class="muted">None is stored.</p>}
      <ul class="latest">
        {(value?.items ?? []).map((event) => (
          <li key={event.id}>
            <ViewLink view="events" params={{ ...filters, event: event.id }}>
              {shortMoment(event.time, nowMs.peek())}
            </ViewLink>{" "}
            <Badge word={event.effect} /> {event.count > 1 && <b>{count(event.count)}×</b>}{" "}
            {visible(event.message)}
          </li>
        ))}
      </ul>
      <p>
        <ViewLink view="events" params={filters}>Open the events</ViewLink>
      </p>
    </section>
  );
}
