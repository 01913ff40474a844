/**
 * What stands above a list: a search, a choice of states, and buttons. Both are kept in the address.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { setParams } from "../core/router.ts";

export interface ListBarProps {
  readonly text: string;
  readonly placeholder?: string;
  /** The label of the choice, and its parameter. */
  readonly label: string;
  readonly param: string;
  readonly states: readonly string[];
  /** Any when it is left out. */
  readonly chosen: string | undefined;
  readonly children?: ComponentChildren;
}

export function ListBar(props: ListBarProps): JSX.Element {
  const { text, placeholder, label, param, states, chosen = "", children } = props;
  return (
    <div class="toolbar">
      <label>
        Search
        <input
          type="search"
          value={text}
          placeholder={placeholder}
          onInput={(event) => setParams({ q: event.currentTarget.value })}
        />
      </label>
      <label>
        {label}
        <select
          value={chosen}
          onChange={(event) => setParams({ [param]: event.currentTarget.value }, "push")}
        >
          <option value="">any</option>
          {states.map((state) => <option key={state} value={state}>{state}</option>)}
        </select>
      </label>
      {children}
    </div>
  );
}
