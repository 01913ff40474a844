/**
 * The view of events: live, newest first, filtered, and each to be opened.
 *
 * Rows hold still while somebody is at them: then what is new waits behind a button.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { messageOf } from "../core/api.ts";
import { count, plural } from "../core/format.ts";
import { place, setParams } from "../core/router.ts";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { showToast } from "../ui/toast.tsx";
import { EventPanel } from "./event_panel.tsx";
import { EventTable, SHOWN_MAX } from "./event_table.tsx";
import { exportEvents, type ExportFormat } from "./export.ts";
import { KEPT_MAX } from "./feed.ts";
import { FilterBar } from "./filter_bar.tsx";
import { cleared, type EventFilters, parseFilters, queryOf } from "./filters.ts";
import { type FeedView, useFeed } from "./use_feed.ts";
import { type HeldView, useHeldRows } from "./use_held_rows.ts";

/** Rows are held so long after the mouse has left them. */
const HOVER_MS = 700;

export function EventsView(): JSX.Element {
  const { params } = place.value;
  const filters = parseFilters(params);
  const key = JSON.stringify(filters);
  const chosen = params.get("event") ?? undefined;
  const [isPaused, setPaused] = useState(false);
  const [isHovered, hover] = useHover();
  const [isScrolled, setScrolled] = useState(false);
  const [from, setFrom] = useState(0);
  const feed = useFeed(filters);
  const isHeld = isPaused || isHovered || isScrolled || from > 0 || chosen !== undefined;
  const held = useHeldRows(feed.rows, isHeld, key);
  useEffect(() => setFrom(0), [key]);
  const shown = held.rows.slice(from, from + SHOWN_MAX);
  const open = (id: string): void => setParams({ event: id }, chosen === undefined ? "push" : "replace");
  return (
    <div class={`events${chosen === undefined ? "" : " has-panel"}`}>
      <div class="events-main">
        <FilterBar filters={filters} />
        <StateBar
          {...{ filters, held, isHeld, isPaused }}
          onPause={setPaused}
          onTop={() => setFrom(0)}
          onHover={hover}
        />
        {feed.fault !== "" && <p class="fault" role="alert">{feed.fault}</p>}
        {shown.length > 0
          ? (
            <EventTable
              rows={shown}
              chosen={chosen}
              onOpen={open}
              onHover={hover}
              onScroll={setScrolled}
            />
          )
          : feed.isRead && <Nothing isFiltered={key !== "{}"} />}
        {!feed.isRead && shown.length === 0 && feed.fault === "" && <p aria-busy="true">Reading events…</p>}
        {shown.length > 0 && <Pages feed={feed} total={held.rows.length} from={from} onFrom={setFrom} />}
      </div>
      {chosen !== undefined && (
        <EventPanel
          id={chosen}
          known={held.rows.find(({ id }) => id === chosen)}
          onClose={() => setParams({ event: undefined }, "push")}
        />
      )}
    </div>
  );
}

/** Whether the mouse is at the rows, or has been a moment ago: it takes that long to come to the button above them. */
function useHover(): [boolean, (isOver: boolean) => void] {
  const [isOver, setOver] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return [isOver, (next) => {
    clearTimeout(timer.current);
    if (next) setOver(true);
    else timer.current = setTimeout(() => setOver(false), HOVER_MS);
  }];
}

interface StateBarProps {
  readonly filters: EventFilters;
  readonly held: HeldView;
  readonly isHeld: boolean;
  readonly isPaused: boolean;
  readonly onPause: (isPaused: boolean) => void;
  readonly onTop: () => void;
  readonly onHover: (isOver: boolean) => void;
}

/** Live or held, what waits, and the files. */
function StateBar({ filters, held, isHeld, isPaused, onPause, onTop, onHover }: StateBarProps): JSX.Element {
  const { waiting } = held;
  return (
    <div
      class="toolbar event-state"
      onPointerEnter={() => waiting > 0 && onHover(true)}
      onPointerLeave={() => onHover(false)}
    >
      <button
        type="button"
        aria-pressed={!isPaused}
        title={isPaused ? "New events wait: go on" : "New events come in by themselves: hold them"}
        onClick={() => onPause(!isPaused)}
      >
        <Icon name={isPaused ? "play" : "stop"} size={13} /> {isPaused ? "Paused" : "Live"}
      </button>
      {waiting > 0 && (
        <button
          type="button"
          class="primary"
          onClick={() => {
            held.show();
            onHover(false);
            onTop();
            document.querySelector(".event-frame")?.scrollTo({ top: 0 });
          }}
        >
          <Icon name="up" /> {plural(waiting, "new event")} — show
        </button>
      )}
      {isHeld && waiting === 0 && !isPaused && <span class="muted">held while you look</span>}
      <span class="hidden" role="status">{waiting > 0 ? "There are new events" : ""}</span>
      <span class="event-files">
        <ExportButton format="csv" filters={filters} />
        <ExportButton format="ndjson" filters={filters} />
      </span>
    </div>
  );
}

function ExportButton(
  { format, filters }: { readonly format: ExportFormat; readonly filters: EventFilters },
): JSX.Element {
  const [isBusy, setBusy] = useState(false);
  const save = async (): Promise<void> => {
    setBusy(true);
    try {
      const hasMore = await exportEvents(format, queryOf(filters, Date.now()));
      const words =
        "The file is full, and there are older events: narrow the filters or go on from its last line";
      showToast(hasMore ? { kind: "fault", text: words } : { text: "Saved what the filters leave" });
    } catch (error) {
      showToast({ kind: "fault", text: `Cannot save the events: ${messageOf(error)}` });
    }
    setBusy(false);
  };
  return (
    <button type="button" disabled={isBusy} onClick={() => void save()}>
      <Icon name="download" /> {isBusy ? "Saving…" : format.toUpperCase()}
      <span class="hidden">of these events</span>
    </button>
  );
}

interface PagesProps {
  readonly feed: FeedView;
  readonly total: number;
  readonly from: number;
  readonly onFrom: (from: number) => void;
}

/** Where in the list the table is, and the way on. */
function Pages({ feed, total, from, onFrom }: PagesProps): JSX.Element {
  const end = Math.min(from + SHOWN_MAX, total);
  const hasMore = feed.hasOlder || end < total;
  const older = async (): Promise<void> => {
    if (end >= total) await feed.loadOlder();
    onFrom(from + SHOWN_MAX);
    document.querySelector(".event-frame")?.scrollTo({ top: 0 });
  };
  const isFull = feed.isFull && end >= total && feed.hasOlder;
  return (
    <div class="toolbar event-pages">
      {from > 0 && (
        <button type="button" onClick={() => onFrom(Math.max(0, from - SHOWN_MAX))}>
          <Icon name="up" /> Newer
        </button>
      )}
      <span class="muted">
        {count(from + 1)} to {count(end)} of {count(total)}
        {feed.hasOlder ? ", and older ones" : ""}
      </span>
      {hasMore && !isFull && (
        <button type="button" disabled={feed.isLoading} onClick={() => void older()}>
          <Icon name="down" /> {feed.isLoading ? "Loading…" : "Load older"}
        </button>
      )}
      {isFull && (
        <span>The page holds {count(KEPT_MAX)}: narrow the filters, or save the rest as a file.</span>
      )}
    </div>
  );
}

function Nothing({ isFiltered }: { readonly isFiltered: boolean }): JSX.Element {
  if (!isFiltered) {
    return (
      <Empty title="No events yet">
        <p>
          Events come when something is not as it was learned, when a rule or a limit matches, and when the
          policy changes. While groups are in the mode learn, what is new is learned: set them to alert or
          prevent on the map.
        </p>
      </Empty>
    );
  }
  return (
    <Empty title="No event is like that">
      <p>Take a filter away, or look further back.</p>
      <button type="button" onClick={() => setParams(cleared(), "push")}>Take all filters away</button>
    </Empty>
  );
}
