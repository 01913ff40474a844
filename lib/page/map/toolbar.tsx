/**
 * Above the map: search, filters, folding, and the choice between the drawing and the list.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { setParams } from "../core/router.ts";
import { Icon } from "../ui/icon.tsx";
import {
  DIRECTIONS,
  isNarrowed,
  type MapFilters,
  NO_FILTERS,
  paramsOf,
  QUIET_MINUTES,
  SEARCH_CHARS_MAX,
  toggled,
} from "./filters.ts";
import { Sample } from "./legend.tsx";
import { LINE_STATES, STATE_WORDS } from "./line.ts";
import type { MapModel } from "./model.ts";

export interface ToolbarProps {
  readonly filters: MapFilters;
  readonly model: MapModel;
  readonly show: "map" | "list";
  /** The id of the workload that the detail tells of. */
  readonly chosen: string | undefined;
  /** Forgets where things stood. */
  readonly onArrange: () => void;
}

export function Toolbar(props: ToolbarProps): JSX.Element {
  const { filters, show } = props;
  return (
    <div class="map-toolbar" role="search" aria-label="What the map shows">
      <Search text={filters.search} />
      <FilterMenu filters={filters} />
      <Folding {...props} />
      <span class="map-choice" role="group" aria-label="Show as">
        {(["map", "list"] as const).map((one) => (
          <button
            key={one}
            type="button"
            aria-pressed={show === one}
            onClick={() => setParams({ show: one }, "push")}
          >
            {one === "map" ? "Map" : "List"}
          </button>
        ))}
      </span>
    </div>
  );
}

/** Typing is taken over after a pause: browsers let a page change its address only so often. */
const TYPING_MS = 200;

function Search({ text }: { readonly text: string }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const [typed, setTyped] = useState<string>();
  useEffect(() => {
    if (typed === undefined) return;
    const timer = setTimeout(() => {
      setParams(paramsOf({ search: typed }));
      setTyped(undefined);
    }, TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) {
        return;
      }
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  return (
    <label class="map-search">
      <Icon name="search" />
      <span class="hidden">Search workloads, services, hosts</span>
      <input
        ref={field}
        type="search"
        placeholder="Search (/)"
        maxLength={SEARCH_CHARS_MAX}
        value={typed ?? text}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape" || text === "") return;
          event.preventDefault();
          setTyped("");
        }}
      />
    </label>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement &&
    (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

function FilterMenu({ filters }: { readonly filters: MapFilters }): JSX.Element {
  const { directions, states, quietMinutes } = filters;
  const menu = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const onPoint = ({ target }: Event): void => {
      if (menu.current?.contains(target as Node) === false) menu.current.open = false;
    };
    document.addEventListener("pointerdown", onPoint);
    return () => document.removeEventListener("pointerdown", onPoint);
  }, []);
  const hidden = DIRECTIONS.length - directions.size + LINE_STATES.length - states.size +
    Number(quietMinutes > 0);
  return (
    <details
      ref={menu}
      class="map-filters"
      onKeyDown={(event) => {
        if (event.key !== "Escape" || menu.current?.open !== true) return;
        event.preventDefault();
        menu.current.open = false;
        menu.current.querySelector("summary")?.focus();
      }}
    >
      <summary>
        <Icon name="filter" /> Filters{hidden > 0 ? ` (${hidden})` : ""}
      </summary>
      <div class="map-filters-body">
        <fieldset>
          <legend>Direction</legend>
          {DIRECTIONS.map((direction) => (
            <Check
              key={direction}
              isOn={directions.has(direction)}
              onToggle={() => setParams(paramsOf({ directions: toggled(directions, direction) }), "push")}
            >
              {direction}
            </Check>
          ))}
        </fieldset>
        <fieldset>
          <legend>State</legend>
          {LINE_STATES.map((state) => (
            <Check
              key={state}
              isOn={states.has(state)}
              onToggle={() => setParams(paramsOf({ states: toggled(states, state) }), "push")}
            >
              <Sample state={state} /> {STATE_WORDS[state].name}
            </Check>
          ))}
        </fieldset>
        <label>
          Seen in the last
          <select
            value={String(quietMinutes)}
            onChange={(event) => {
              setParams(paramsOf({ quietMinutes: Number(event.currentTarget.value) }), "push");
            }}
          >
            {QUIET_MINUTES.map((minutes) => (
              <option key={minutes} value={String(minutes)}>{quietWords(minutes)}</option>
            ))}
          </select>
        </label>
        {isNarrowed(filters) && (
          <button type="button" onClick={() => setParams(clearing(), "push")}>Clear the filters</button>
        )}
      </div>
    </details>
  );
}

/** What is folded stays so. */
function clearing(): Record<string, string | undefined> {
  const { search, directions, states, quietMinutes, focus } = NO_FILTERS;
  return paramsOf({ search, directions, states, quietMinutes, focus });
}

function quietWords(minutes: number): string {
  if (minutes === 0) return "all time";
  return minutes < 60 ? `${minutes} minutes` : minutes === 60 ? "hour" : `${minutes / 60} hours`;
}

interface CheckProps {
  readonly isOn: boolean;
  readonly onToggle: () => void;
  readonly children: JSX.Element | string | readonly (JSX.Element | string)[];
}

function Check({ isOn, onToggle, children }: CheckProps): JSX.Element {
  return (
    <label class="inline">
      <input type="checkbox" checked={isOn} onChange={onToggle} />
      {children}
    </label>
  );
}

function Folding({ filters, model, show, chosen, onArrange }: ToolbarProps): JSX.Element {
  const { collapsed, namespaces } = model;
  const foldAll = (fold: "all" | "none"): void =>
    setParams(paramsOf({ fold, opened: new Set(), shut: new Set() }), "push");
  const focus = filters.focus !== "" ? filters.focus : chosen;
  return (
    <span class="map-folding">
      {focus !== undefined && (
        <button
          type="button"
          aria-pressed={filters.focus !== ""}
          title="Shows what is joined with it, and nothing else"
          onClick={() => setParams(paramsOf({ focus: filters.focus === "" ? focus : "" }), "push")}
        >
          Only neighbours
        </button>
      )}
      {show === "map" && namespaces.length > 0 && (
        <>
          <button
            type="button"
            disabled={collapsed.size === namespaces.length}
            onClick={() => foldAll("all")}
          >
            Collapse all
          </button>
          <button type="button" disabled={collapsed.size === 0} onClick={() => foldAll("none")}>
            Expand all
          </button>
          <button
            type="button"
            title="Forgets where things stood, and puts them in order"
            onClick={onArrange}
          >
            Arrange
          </button>
        </>
      )}
    </span>
  );
}
