/**
 * The rules in their order: found, counted, edited on the draft.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { freeId } from "../core/change.ts";
import { count, plural, shortMoment } from "../core/format.ts";
import { place, setParams } from "../core/router.ts";
import { isOperator } from "../core/session.ts";
import type { PolicyRule } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { Field } from "./form.tsx";
import { moveRule, setRule } from "./draft.ts";
import { MoveDialog } from "./move_dialog.tsx";
import { changes, edit, hits, readHits, roughNowMs, shown } from "./policy_state.ts";
import { RuleDialog } from "./rule_dialog.tsx";
import { type RuleActions, RuleRow } from "./rule_row.tsx";
import { findRules, RULE_FILTERS, type RuleFilter } from "./rule_words.ts";

/** Rows that are drawn at first, and with each step. */
const ROWS_STEP = 200;
const HITS_POLL_MS = 5_000;

const FILTER_WORDS: Readonly<Record<RuleFilter, string>> = {
  all: "all rules",
  active: "those that hold now",
  off: "those switched off",
  expired: "those expired",
  unused: "those never matched",
};

type Asked =
  | { readonly kind: "edit" | "copy" | "move"; readonly index: number }
  | { readonly kind: "new" };

export function RulesTab(): JSX.Element {
  const [asked, setAsked] = useState<Asked>();
  const [said, setSaid] = useState("");
  useHits();
  const rules = shown.value?.spec.rules ?? [];
  const { found, filter, text } = useFound(rules);
  const actions = actionsOn(rules, setAsked, setSaid);
  return (
    <section aria-label="Rules">
      <div class="toolbar policy-tools">
        <Field
          label="Find rules"
          value={text}
          onChange={(q) => setParams({ q })}
        />
        <Field
          label="Show"
          value={filter}
          options={RULE_FILTERS.map((each) => [each, FILTER_WORDS[each]] as const)}
          onChange={(only) => setParams({ only: only === "all" ? undefined : only }, "push")}
        />
        {isOperator() && (
          <button type="button" class="primary" onClick={() => setAsked({ kind: "new" })}>
            <Icon name="plus" /> New rule
          </button>
        )}
      </div>
      <p class="hidden" role="status">{said}</p>
      {rules.length === 0
        ? <NoRules />
        : <RuleTable {...{ rules, found, actions }} isFiltered={text !== "" || filter !== "all"} />}
      <Defaults />
      <AskedDialog {...{ asked, rules, setSaid }} onClose={() => setAsked(undefined)} />
    </section>
  );
}

/** Counts are read while somebody looks at them. */
function useHits(): void {
  useEffect(() => {
    void readHits();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void readHits();
    }, HITS_POLL_MS);
    return () => clearInterval(timer);
  }, []);
}

function useFound(rules: readonly PolicyRule[]): { found: number[]; filter: RuleFilter; text: string } {
  const { params } = place.value;
  const text = params.get("q") ?? "";
  const filter = RULE_FILTERS.find((each) => each === params.get("only")) ?? "all";
  const used = hits.value && new Set(hits.value.items.map(({ rule }) => rule));
  return { text, filter, found: findRules(rules, { text, only: filter, used, nowMs: roughNowMs.value }) };
}

function actionsOn(
  rules: readonly PolicyRule[],
  setAsked: (asked: Asked) => void,
  setSaid: (text: string) => void,
): RuleActions {
  return {
    ask: (kind, index) => setAsked({ kind, index }),
    move(from, to): void {
      edit((document) => moveRule(document, from, to));
      setSaid(`Rule ${rules[from]?.id} is number ${to + 1} of ${rules.length} now`);
    },
    remove(index): void {
      edit((document) => setRule(document, index));
      setSaid(`Rule ${rules[index]?.id} is removed from the draft`);
    },
    set: (index, rule) => edit((document) => setRule(document, index, rule)),
  };
}

interface RuleTableProps {
  readonly rules: readonly PolicyRule[];
  readonly found: readonly number[];
  readonly isFiltered: boolean;
  readonly actions: RuleActions;
}

function RuleTable({ rules, found, isFiltered, actions }: RuleTableProps): JSX.Element {
  const [rowsMax, setRowsMax] = useState(ROWS_STEP);
  const [isWhole, setWhole] = useState(false);
  const chosen = place.value.params.get("rule") ?? "";
  const chosenAt = found.findIndex((index) => rules[index]?.id === chosen);
  useEffect(() => {
    if (chosen !== "") document.getElementById(`rule-${chosen}`)?.scrollIntoView({ block: "center" });
  }, [chosen, chosenAt >= 0]);
  const countOf = new Map(hits.value?.items.map((item) => [item.rule, item]));
  const changeOf = new Map(
    changes.value.filter(({ part }) => part === "rule").map((it) => [it.name, it.kind]),
  );
  // A rule far below is shown with those around it, not with all above.
  const first = chosenAt < rowsMax || isWhole ? 0 : Math.max(0, chosenAt - ROWS_STEP / 2);
  const rows = found.slice(first, first + rowsMax);
  return (
    <>
      {chosen !== "" && chosenAt < 0 && (
        <p class="warning" role="status">
          {rules.some(({ id }) => id === chosen)
            ? `The rule ${visible(chosen)} is not among those that are shown: empty the search.`
            : `There is no rule ${
              visible(chosen)
            } here: it may have been removed or renamed. “Versions” says by whom.`}
        </p>
      )}
      {first > 0 && (
        <button type="button" onClick={() => setWhole(true)}>
          Show from the first: {plural(first, "rule")} above
        </button>
      )}
      <div class="table-frame" tabIndex={0} role="region" aria-label="Table of rules">
        <table class="policy-table rules">
          <caption class="hidden">Rules in order: the first that matches decides</caption>
          <RuleHead />
          <tbody>
            {rows.map((index) => (
              <RuleRow
                key={rules[index]!.id}
                rule={rules[index]!}
                {...{ index, isFiltered, actions }}
                size={rules.length}
                isChosen={rules[index]!.id === chosen}
                change={changeOf.get(rules[index]!.id)}
                hit={countOf.get(rules[index]!.id)}
                sinceMs={hits.value?.sinceMs}
              />
            ))}
          </tbody>
        </table>
      </div>
      {rows.length === 0 && <p class="muted">No rule is like this.</p>}
      {rows.length < found.length && (
        <button
          type="button"
          onClick={() => setRowsMax(rows.length + ROWS_STEP)}
        >
          Show more: {plural(found.length - rows.length, "rule")} below
        </button>
      )}
    </>
  );
}

function RuleHead(): JSX.Element {
  return (
    <thead>
      <tr>
        <th scope="col">Place</th>
        <th scope="col">Rule</th>
        <th scope="col">Effect</th>
        <th scope="col">From → to</th>
        <th scope="col">Only</th>
        <th scope="col">Expires</th>
        <th scope="col" class="number">Matches</th>
        {isOperator() && <th scope="col">Change</th>}
      </tr>
    </thead>
  );
}

function NoRules(): JSX.Element {
  return (
    <Empty title="There are no rules">
      <p>
        That is fine: what was <b>learned</b> and the <b>modes</b>{" "}
        of the groups decide. A rule says what shall hold whatever was learned.
      </p>
      <p>
        Make the first one from an <ViewLink view="events">event</ViewLink>, from an edge of the{" "}
        <ViewLink view="map">map</ViewLink>
        {isOperator() ? ", or here with “New rule”." : "."}
      </p>
    </Empty>
  );
}

/** What decides behind all rules. */
function Defaults(): JSX.Element | null {
  const known = hits.value;
  if (known === undefined) return null;
  const { learned, learning, implicit } = known.defaults;
  const now = roughNowMs.value;
  const lines = [
    ["What was learned", learned],
    ["Mode learn, and not learned yet", learning],
    ["Mode alert or prevent, and not learned", implicit],
  ] as const;
  return (
    <details class="policy-defaults">
      <summary>What decides where no rule matches</summary>
      <ul>
        {lines.map(([words, { count: times, lastMs }]) => (
          <li key={words}>
            {words}: <b>{count(times)}×</b>
            {times > 0 && <span class="muted">, last {shortMoment(lastMs, now)}</span>}
          </li>
        ))}
      </ul>
      <p class="muted">Counted since {shortMoment(known.sinceMs, now)}.</p>
    </details>
  );
}

interface AskedProps {
  readonly asked: Asked | undefined;
  readonly rules: readonly PolicyRule[];
  readonly setSaid: (text: string) => void;
  readonly onClose: () => void;
}

function AskedDialog({ asked, rules, setSaid, onClose }: AskedProps): JSX.Element | null {
  if (asked === undefined) return null;
  const done = (id: string): void => {
    setSaid(`Rule ${id} is in the draft`);
    setParams({ rule: id });
    onClose();
  };
  if (asked.kind === "new") return <RuleDialog onDone={done} onClose={onClose} />;
  const rule = rules[asked.index];
  if (rule === undefined) return null;
  if (asked.kind === "edit") {
    return <RuleDialog rule={rule} index={asked.index} onDone={done} onClose={onClose} />;
  }
  if (asked.kind === "copy") {
    const copy = { ...rule, id: freeId(rule.id, new Set(rules.map(({ id }) => id))) };
    return <RuleDialog rule={copy} at={asked.index + 1} onDone={done} onClose={onClose} />;
  }
  return <MoveDialog index={asked.index} rule={rule} size={rules.length} onDone={done} onClose={onClose} />;
}
