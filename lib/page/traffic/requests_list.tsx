/**
 * The last requests, live, the newest first. While the pointer is on them they stand still.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { bytes, clock, duration, moment, plural } from "../core/format.ts";
import { place, setParams } from "../core/router.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { serviceLabel } from "./columns.ts";
import {
  newCount,
  selectRequests,
  STATUS_CHOICES,
  statusFilter,
  statusWords,
  withOlder,
} from "./request_facts.ts";
import type { RequestSummary } from "./traffic_types.ts";
import { usePolled } from "./use_polled.ts";

const EVERY_MS = 2_000;
const PAGE_REQUESTS = 100;
/** The gateway keeps no more of one service. */
const ROWS_MAX = 400;

interface RequestPage {
  readonly items: readonly RequestSummary[];
  readonly next?: string;
}

/** What is shown while it stands still. */
interface Held extends RequestPage {
  /** By the button, and not by the pointer alone. */
  readonly isPaused: boolean;
}

export function RequestsList({ service }: { readonly service: string | undefined }): JSX.Element {
  const { params } = place.value;
  const status = statusFilter(params.get("status"));
  const text = params.get("q") ?? "";
  const path = pathOf(service, status);
  const read = usePolled<RequestPage>(path, EVERY_MS);
  const [held, setHeld] = useState<Held>();
  const [fault, setFault] = useState("");
  useEffect(() => setHeld(undefined), [path]);
  const now = read.data;
  const shown = held ?? now;
  const hold = (isPaused: boolean): void => {
    if (shown !== undefined) setHeld({ ...shown, isPaused });
  };
  const loadOlder = async (): Promise<void> => {
    if (shown?.next === undefined) return;
    try {
      const page = await ask<RequestPage>("GET", pathOf(service, status, shown.next));
      const items = withOlder(shown.items, page.items);
      setHeld({ items, isPaused: true, ...(page.next === undefined ? {} : { next: page.next }) });
      setFault("");
    } catch (error) {
      setFault(messageOf(error));
    }
  };
  const fresh = held === undefined || now === undefined ? 0 : newCount(held.items, now.items);
  const isPaused = held?.isPaused === true;
  return (
    <section class="requests" aria-labelledby="requests-title">
      <h2 id="requests-title">Last requests</h2>
      <Filters
        status={status}
        text={text}
        isPaused={isPaused}
        onPause={() => isPaused ? setHeld(undefined) : hold(true)}
      />
      {(fault || read.fault) !== "" && <p class="fault" role="alert">{fault || read.fault}</p>}
      {fresh > 0 && (
        <button type="button" onClick={() => setHeld(undefined)}>{plural(fresh, "new request")}: show</button>
      )}
      {shown === undefined ? read.fault === "" && <p aria-busy="true">Reading the requests…</p> : (
        <Requests
          all={shown.items}
          shown={selectRequests(shown.items, text).slice(0, ROWS_MAX)}
          onPointer={(isOver) => {
            if (isOver && held === undefined) hold(false);
            else if (!isOver && held?.isPaused === false) setHeld(undefined);
          }}
        />
      )}
      {shown?.next !== undefined && shown.items.length < ROWS_MAX && (
        <button
          type="button"
          onClick={() => void loadOlder()}
        >
          Load older ones
        </button>
      )}
    </section>
  );
}

/** An empty service is one, too: what has no route. */
function pathOf(service: string | undefined, status: string | undefined, before?: string): string {
  const search = new URLSearchParams({ limit: String(PAGE_REQUESTS) });
  if (service !== undefined) search.set("service", service);
  if (status !== undefined) search.set("status", status);
  if (before !== undefined) search.set("before", before);
  return `/requests?${search}`;
}

interface FiltersProps {
  readonly status: string | undefined;
  readonly text: string;
  readonly isPaused: boolean;
  readonly onPause: () => void;
}

function Filters({ status, text, isPaused, onPause }: FiltersProps): JSX.Element {
  const isOther = status !== undefined && !STATUS_CHOICES.some((choice) => choice === status);
  return (
    <div class="toolbar">
      <label>
        Search in these
        <input
          type="search"
          value={text}
          placeholder="path, host, source"
          onInput={(event) => setParams({ q: event.currentTarget.value })}
        />
      </label>
      <label>
        Status
        <select
          value={status ?? ""}
          onChange={(event) => setParams({ status: event.currentTarget.value }, "push")}
        >
          <option value="">any</option>
          {isOther && <option value={status}>{status}</option>}
          {STATUS_CHOICES.map((choice) => (
            <option key={choice} value={choice}>{choice === "none" ? "no answer" : choice}</option>
          ))}
        </select>
      </label>
      <button type="button" aria-pressed={isPaused} onClick={onPause}>
        {isPaused ? "Paused: go on" : "Pause"}
      </button>
    </div>
  );
}

interface RequestsProps {
  readonly all: readonly RequestSummary[];
  readonly shown: readonly RequestSummary[];
  readonly onPointer: (isOver: boolean) => void;
}

function Requests({ all, shown, onPointer }: RequestsProps): JSX.Element {
  const chosen = place.value.params.get("request");
  if (all.length === 0) {
    return <p class="card">None is kept that fits. Raw connections are not listed here.</p>;
  }
  if (shown.length === 0) {
    return <p class="card">None of the {all.length} that are loaded fits the search.</p>;
  }
  return (
    <div
      class="table-frame"
      onPointerEnter={() => onPointer(true)}
      onPointerLeave={() => onPointer(false)}
    >
      <table>
        <caption>
          {shown.length === all.length ? all.length : `${shown.length} of ${all.length}`} loaded
        </caption>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Request</th>
            <th scope="col">Status</th>
            <th scope="col" class="minor">Service</th>
            <th scope="col" class="minor">Source</th>
            <th scope="col" class="number minor">Took</th>
            <th scope="col" class="number minor">Bytes</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((request) => (
            <RequestRow key={request.id} request={request} isChosen={request.id === chosen} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RequestRowProps {
  readonly request: RequestSummary;
  readonly isChosen: boolean;
}

function RequestRow({ request, isChosen }: RequestRowProps): JSX.Element {
  const { id, atMs, method, host, target, service, source, ms, status, recorded, verdict, replayOf } =
    request;
  const { text, word } = statusWords(request);
  return (
    <tr class={isChosen ? "chosen" : ""}>
      <td title={moment(atMs)}>{clock(atMs)}</td>
      <td class="long">
        <button
          type="button"
          class="opener mono"
          title={visible(`${host}${target}`).slice(0, 500)}
          onClick={() => setParams({ request: id }, "push")}
        >
          <span class="target">
            <b>{visible(method)}</b> {visible(target)}
          </span>
        </button>
        {recorded === "bodies" && <Badge word="info" label="recorded" />}
        {replayOf !== undefined && <Badge word="info" label="replay" />}
      </td>
      <td>
        <Badge word={word} label={status === 0 ? "no answer" : text} title={request.failure} />
        {verdict !== undefined && verdict !== "forwarded" && <Badge word={verdict} />}
      </td>
      <td class="minor">{serviceLabel(service)}</td>
      <td class="minor long">{visible(source)}</td>
      <td class="number minor">{duration(ms)}</td>
      <td class="number minor">{bytes(request.requestBytes + request.responseBytes)}</td>
    </tr>
  );
}
