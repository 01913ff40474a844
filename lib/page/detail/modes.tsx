/**
 * The modes of a group, and how they are set.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { setMode } from "../core/change.ts";
import { isOperator } from "../core/session.ts";
import type { Direction, GroupView, Mode } from "../core/types.ts";
import { Badge } from "../ui/badge.tsx";
import { propose } from "../ui/change_dialog.tsx";
import { Fact } from "./fact.tsx";
import { VIEWER_WORDS } from "./edge_buttons.tsx";
import { DIRECTIONS, stillLearning } from "./still_learning.ts";

const CHOICES: readonly (Mode | "default")[] = ["learn", "alert", "prevent", "default"];
const ORIGIN_WORDS = {
  manual: "set by hand",
  promoted: "set by learning",
  default: "default",
} as const;

export function Modes(
  { id, group }: { readonly id: string; readonly group: GroupView | undefined },
): JSX.Element {
  return (
    <section>
      <h3>Modes</h3>
      {group === undefined
        ? <p class="muted">Unknown until an agent of the group is linked.</p>
        : (
          <dl class="facts">
            {DIRECTIONS.map((direction) => (
              <Fact key={direction} words={direction}>
                <Badge word={group.modes[direction].mode} />{" "}
                <span class="muted">{ORIGIN_WORDS[group.modes[direction].origin]}</span>
              </Fact>
            ))}
          </dl>
        )}
      {group !== undefined && <StillLearning group={group} />}
      <ModeForm id={id} />
    </section>
  );
}

function StillLearning({ group }: { readonly group: GroupView }): JSX.Element | null {
  const open = stillLearning(group);
  if (open.length === 0) return null;
  return (
    <p class="warning">
      {open.join(" and ")} still{" "}
      {open.length === 1 ? "learns" : "learn"}: whatever comes that way, even for the first time, is let
      through and becomes normal without an event. If nothing is to come that way, set alert.
    </p>
  );
}

function ModeForm({ id }: { readonly id: string }): JSX.Element {
  const [mode, setChosen] = useState<Mode | "default">("alert");
  const [direction, setDirection] = useState<Direction | "all">("all");
  const title = isOperator() ? undefined : VIEWER_WORDS;
  return (
    <form
      class="toolbar"
      onSubmit={(event) => {
        event.preventDefault();
        propose(setMode(id, mode, direction === "all" ? undefined : direction));
      }}
    >
      <label>
        Mode
        <select
          value={mode}
          disabled={!isOperator()}
          onChange={(event) => setChosen(event.currentTarget.value as Mode | "default")}
        >
          {CHOICES.map((word) => <option key={word} value={word}>{word}</option>)}
        </select>
      </label>
      <label>
        Direction
        <select
          value={direction}
          disabled={!isOperator()}
          onChange={(event) => setDirection(event.currentTarget.value as Direction | "all")}
        >
          <option value="all">all three</option>
          {DIRECTIONS.map((word) => <option key={word} value={word}>{word}</option>)}
        </select>
      </label>
      <button type="submit" disabled={!isOperator()} title={title}>Set the mode…</button>
    </form>
  );
}
