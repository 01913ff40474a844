/**
 * The filters of the events view: fields to choose, and what is chosen as chips that are taken away by a click.
 *
 * @module
 */
import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import { setParams } from "../core/router.ts";
import { groups } from "../core/state.ts";
import { Icon } from "../ui/icon.tsx";
import {
  charsMax,
  chipsOf,
  type ChoiceName,
  CHOICES,
  cleared,
  type EventFilters,
  FILTER_WORDS,
  type FilterName,
  type TextName,
  valueText,
} from "./filters.ts";

/** Those that are always to be seen; the others are behind a button. */
const FIRST_CHOICES: readonly ChoiceName[] = ["last", "effect", "type"];
const MORE_CHOICES: readonly ChoiceName[] = ["severity", "verdict", "direction"];
const MORE_TEXTS: readonly TextName[] = ["namespace", "image", "service", "source", "destination", "host"];
/** Names that are offered in a field. */
const OFFERED_MAX = 200;

/** Chooses a value, as a link does; `undefined` takes the filter away. */
export function chooseFilter(name: FilterName, value: string | undefined): void {
  // A time from another view makes room for one of the list.
  const more = name === "last" ? { since: undefined, until: undefined } : {};
  setParams({ ...more, [name]: value }, "push");
}

export function FilterBar({ filters }: { readonly filters: EventFilters }): JSX.Element {
  const isHidden = [...MORE_CHOICES, ...MORE_TEXTS].every((name) => filters[name] === undefined);
  const [isOpen, setOpen] = useState(!isHidden);
  const id = useId();
  return (
    <search class="event-filters" aria-label="Filters of events">
      <div class="toolbar">
        <label class="event-search">
          {FILTER_WORDS.q}
          <input
            type="search"
            value={filters.q ?? ""}
            maxLength={charsMax("q")}
            placeholder="Message, path or name"
            spellcheck={false}
            onInput={(event) => setParams({ q: event.currentTarget.value })}
          />
        </label>
        {FIRST_CHOICES.map((name) => <Choice key={name} name={name} value={filters[name]} />)}
        <button type="button" aria-expanded={isOpen} aria-controls={id} onClick={() => setOpen(!isOpen)}>
          <Icon name="filter" /> More filters
        </button>
      </div>
      <div class="toolbar" id={id} hidden={!isOpen}>
        {MORE_CHOICES.map((name) => <Choice key={name} name={name} value={filters[name]} />)}
        {MORE_TEXTS.map((name) => <Text key={name} name={name} value={filters[name]} />)}
      </div>
      <Chips filters={filters} />
    </search>
  );
}

function Choice(
  { name, value }: { readonly name: ChoiceName; readonly value: string | undefined },
): JSX.Element {
  return (
    <label>
      {FILTER_WORDS[name]}
      <select
        value={value ?? ""}
        onChange={(event) => chooseFilter(name, event.currentTarget.value || undefined)}
      >
        <option value="">all</option>
        {CHOICES[name].map((word) => <option key={word} value={word}>{valueText(name, word)}</option>)}
      </select>
    </label>
  );
}

/** A field that is compared whole: what is known is offered. */
function Text({ name, value }: { readonly name: TextName; readonly value: string | undefined }): JSX.Element {
  const id = useId();
  return (
    <label>
      {FILTER_WORDS[name]}
      <input
        value={value ?? ""}
        maxLength={charsMax(name)}
        list={id}
        spellcheck={false}
        autocomplete="off"
        onChange={(event) => setParams({ [name]: event.currentTarget.value.trim() }, "push")}
      />
      <datalist id={id}>{offeredFor(name).map((known) => <option key={known} value={known} />)}</datalist>
    </label>
  );
}

function offeredFor(name: TextName): string[] {
  const known = groups.value.flatMap((group) => {
    if (name === "source" || name === "destination") return [group.id];
    if (name === "namespace" || name === "image") return [group[name]];
    return name === "service" ? [...group.services] : [];
  });
  return [...new Set(known)].sort().slice(0, OFFERED_MAX);
}

function Chips({ filters }: { readonly filters: EventFilters }): JSX.Element | null {
  const chips = chipsOf(filters);
  if (chips.length === 0) return null;
  return (
    <ul class="chips" aria-label="Chosen filters">
      {chips.map(({ name, words, value }) => (
        <li key={name}>
          <button
            type="button"
            class="chip"
            title="Take this filter away"
            onClick={() => chooseFilter(name, undefined)}
          >
            {words}: <b>{value}</b> <Icon name="close" size={12} />
          </button>
        </li>
      ))}
      <li>
        <button type="button" class="quiet" onClick={() => setParams(cleared(), "push")}>
          Take all away
        </button>
      </li>
    </ul>
  );
}
