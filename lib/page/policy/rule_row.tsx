/**
 * One rule in the table, with what can be done to it.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { count, shortMoment } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import type { PolicyRule } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { Icon, type IconName } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import type { Difference } from "./differences.ts";
import { roughNowMs } from "./policy_state.ts";
import { destinationWords, expiryOf, httpWords, sourceWords } from "./rule_words.ts";

export interface RuleActions {
  ask(kind: "edit" | "copy" | "move", index: number): void;
  /** To a place from 0. */
  move(from: number, to: number): void;
  remove(index: number): void;
  set(index: number, rule: PolicyRule): void;
}

export interface RuleRowProps {
  readonly rule: PolicyRule;
  /** From 0. */
  readonly index: number;
  readonly size: number;
  readonly isChosen: boolean;
  /** Some rules between those that are shown are not. */
  readonly isFiltered: boolean;
  /** What the draft did to it. */
  readonly change: Difference["kind"] | undefined;
  readonly hit: { readonly count: number; readonly lastMs: number } | undefined;
  /** Since when matches are counted; `undefined` until it is known. */
  readonly sinceMs: number | undefined;
  readonly actions: RuleActions;
}

/** What is dragged is told by its place, under a type of its own: nothing else can be dropped here. */
const DRAG_TYPE = "application/x-netwall-rule";
const CHANGE_WORDS: Readonly<Record<string, string>> = { added: "new", changed: "changed", moved: "moved" };

export function RuleRow(props: RuleRowProps): JSX.Element {
  const { rule, index, isChosen, change } = props;
  const [isOver, setOver] = useState(false);
  const expiry = expiryOf(rule, roughNowMs.value);
  const isIdle = !rule.enabled || expiry?.state === "expired";
  const canDrop = isOperator() && !props.isFiltered;
  return (
    <tr
      id={`rule-${rule.id}`}
      class={`${isChosen ? "chosen" : ""} ${isIdle ? "is-idle" : ""} ${isOver ? "is-over" : ""}`}
      aria-current={isChosen ? "true" : undefined}
      onDragOver={(event) => {
        if (!canDrop || !event.dataTransfer?.types.includes(DRAG_TYPE)) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        setOver(false);
        const from = event.dataTransfer?.getData(DRAG_TYPE) ?? "";
        if (!canDrop || !/^\d{1,5}$/.test(from)) return;
        event.preventDefault();
        if (Number(from) !== index) props.actions.move(Number(from), index);
      }}
    >
      <PlaceCell {...props} />
      <td class="long" data-label="Rule">
        <ViewLink view="policy" params={{ rule: rule.id }} class="mono" title="A link to this rule">
          {rule.id}
        </ViewLink>{" "}
        {change !== undefined && <Badge word={CHANGE_WORDS[change] ?? change} title="In the draft" />}
        {rule.comment !== undefined && <div class="muted">{visible(rule.comment)}</div>}
      </td>
      <td data-label="Effect">
        <Badge word={rule.effect} />
        {!rule.enabled && <div class="muted">switched off</div>}
        {rule.allowLearned && <div class="muted">but what is learned passes</div>}
      </td>
      <td class="long" data-label="From → to">
        {sourceWords(rule.source)} → {destinationWords(rule.destination)}
        <div class="muted">
          {rule.direction ?? "any direction"}, {rule.protocol ?? "any protocol"}
        </div>
      </td>
      <td class="long" data-label="Only">
        {httpWords(rule.http).map((line) => <div key={line}>{line}</div>)}
        {rule.http === undefined && <span class="muted">–</span>}
      </td>
      <td data-label="Expires" class="policy-time">
        {expiry === undefined ? <span class="muted">never</span> : (
          <>
            {expiry.state === "expired" ? <Badge word="expired" label={expiry.words} /> : expiry.words}
            <div class="muted">{expiry.at}</div>
          </>
        )}
      </td>
      <HitCell {...props} />
      {isOperator() && <ActionCell {...props} />}
    </tr>
  );
}

function PlaceCell({ rule, index, isFiltered, actions }: RuleRowProps): JSX.Element {
  if (!isOperator()) return <td class="number" data-label="Place">{index + 1}</td>;
  return (
    <td class="number" data-label="Place">
      <div class="policy-place">
        {!isFiltered && (
          // Buttons cannot be dragged in every browser. Whoever has no mouse has the buttons.
          <span
            class="policy-grip"
            aria-hidden="true"
            title="Drag to another place"
            draggable
            onDragStart={(event) => {
              event.dataTransfer?.setData(DRAG_TYPE, String(index));
              if (event.dataTransfer) event.dataTransfer.effectAllowed = "move";
            }}
          />
        )}
        <button
          type="button"
          class="quiet"
          title="Move to a place by its number"
          aria-label={`Place ${index + 1}: move ${rule.id}`}
          onClick={() => actions.ask("move", index)}
        >
          {index + 1}
        </button>
      </div>
    </td>
  );
}

function HitCell({ change, hit, sinceMs }: RuleRowProps): JSX.Element {
  const now = roughNowMs.value;
  return (
    <td class="number policy-time" data-label="Matches">
      {hit !== undefined && (
        <>
          {count(hit.count)}
          <div class="muted">last {shortMoment(hit.lastMs, now)}</div>
        </>
      )}
      {hit === undefined && change === "added" && <span class="muted">not in force</span>}
      {hit === undefined && change !== "added" && sinceMs !== undefined && (
        <span class="muted">never since {shortMoment(sinceMs, now)}</span>
      )}
    </td>
  );
}

function ActionCell({ rule, index, size, isFiltered, actions }: RuleRowProps): JSX.Element {
  const move = (to: number, name: "up" | "down"): JSX.Element => (
    <IconButton
      icon={name}
      label={`Move ${rule.id} ${name}`}
      isDisabled={isFiltered || to < 0 || to >= size}
      title={isFiltered ? "Empty the search to move rules one by one" : undefined}
      onClick={(button) => {
        actions.move(index, to);
        refocus(button);
      }}
    />
  );
  return (
    <td data-label="Change">
      <div class="policy-actions">
        <label class="inline" title={rule.enabled ? "Switch off" : "Switch on"}>
          <input
            type="checkbox"
            aria-label={`${rule.id} is switched on`}
            checked={rule.enabled}
            onChange={(event) => actions.set(index, { ...rule, enabled: event.currentTarget.checked })}
          />
        </label>
        {move(index - 1, "up")}
        {move(index + 1, "down")}
        <IconButton icon="edit" label={`Edit ${rule.id}`} onClick={() => actions.ask("edit", index)} />
        <IconButton icon="copy" label={`Duplicate ${rule.id}`} onClick={() => actions.ask("copy", index)} />
        <IconButton icon="trash" label={`Delete ${rule.id}`} onClick={() => actions.remove(index)} />
      </div>
    </td>
  );
}

interface IconButtonProps {
  readonly icon: IconName;
  readonly label: string;
  readonly title?: string | undefined;
  readonly isDisabled?: boolean;
  readonly onClick: (button: HTMLButtonElement) => void;
}

export function IconButton({ icon, label, title, isDisabled, onClick }: IconButtonProps): JSX.Element {
  return (
    <button
      type="button"
      class="quiet"
      aria-label={label}
      title={title ?? label}
      disabled={isDisabled}
      onClick={(event) => onClick(event.currentTarget)}
    >
      <Icon name={icon} />
    </button>
  );
}

/** A row that moves takes the focus along; at the ends its other button has it. */
function refocus(button: HTMLButtonElement): void {
  const cell = button.closest("td");
  requestAnimationFrame(() => {
    if (!button.disabled) button.focus();
    else cell?.querySelector<HTMLButtonElement>("button:not(:disabled)")?.focus();
    button.closest("tr")?.scrollIntoView({ block: "nearest" });
  });
}
