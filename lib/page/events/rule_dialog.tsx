/**
 * The form that makes a rule of an event. What comes of it is shown, with what it would do, before it is applied.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import type { NetwallEvent, PolicyVersion } from "../core/types.ts";
import { Dialog } from "../ui/dialog.tsx";
import { propose } from "../ui/change_dialog.tsx";
import {
  changedDraft,
  changeOfDraft,
  draftOf,
  type Effect,
  endsOf,
  type Expires,
  EXPIRES_MS,
  faultOf,
  isBlurred,
  type RuleDraft,
} from "./rule_form.ts";
import { endText } from "./words.ts";

const EFFECT_WORDS: Readonly<Record<Effect, string>> = {
  allow: "allow: forward it",
  alert: "alert: forward it, with an event",
  prevent: "prevent: refuse it, with an event",
};

/** Names of the rules in force. @throws {ApiError} */
export async function takenNames(): Promise<ReadonlySet<string>> {
  const { document } = await ask<PolicyVersion>("GET", "/policy");
  return new Set(document.spec.rules.map(({ id }) => id));
}

/** Proposes to allow or to prevent what an event was about, without a form. @throws {ApiError} */
export async function proposeRule(event: NetwallEvent, effect: "allow" | "prevent"): Promise<void> {
  const ends = endsOf(event);
  if (ends !== undefined) {
    propose(changeOfDraft(draftOf(event, effect, await takenNames()), ends, event, Date.now()));
  }
}

export interface RuleDialogProps {
  readonly event: NetwallEvent;
  readonly onClose: () => void;
}

export function RuleDialog({ event, onClose }: RuleDialogProps): JSX.Element {
  const [taken, setTaken] = useState<ReadonlySet<string>>();
  const [draft, setDraft] = useState<RuleDraft>();
  const [fault, setFault] = useState("");
  const ends = endsOf(event);
  useEffect(() => {
    takenNames().then((names) => {
      setTaken(names);
      setDraft(draftOf(event, "allow", names));
    }, (error) => setFault(messageOf(error)));
  }, []);
  const submit = (): void => {
    if (draft === undefined || taken === undefined || ends === undefined) return;
    const wrong = faultOf(draft, taken);
    setFault(wrong);
    if (wrong !== "") return;
    onClose();
    propose(changeOfDraft(draft, ends, event, Date.now()));
  };
  return (
    <Dialog title="Make a rule of this event" onClose={onClose}>
      <form
        class="rule-form"
        onSubmit={(submitted) => {
          submitted.preventDefault();
          submit();
        }}
      >
        <p>
          From <b>{endText(event.source && { ...event.source, ip: "" })}</b> to{" "}
          <b>{endText(event.destination)}</b>, {event.direction}
          {event.source?.kind === "workload" && <>: for every container of this image and namespace</>}.
        </p>
        {isBlurred(event) && (
          <p class="warning">
            This event stands for many requests that differ. As it is, the rule is about all that goes this
            way.
          </p>
        )}
        {draft === undefined && fault === "" && <p aria-busy="true">Reading the policy…</p>}
        {draft && taken && (
          <DraftFields
            draft={draft}
            event={event}
            onChange={(patch) => setDraft(changedDraft(draft, patch, event, taken))}
          />
        )}
        {fault !== "" && <p class="fault" role="alert">{fault}</p>}
        <footer class="dialog-foot">
          <button type="button" onClick={onClose}>Cancel</button>
          <button type="submit" class="primary" disabled={draft === undefined}>See what it would do…</button>
        </footer>
      </form>
    </Dialog>
  );
}

interface FieldsProps {
  readonly draft: RuleDraft;
  readonly event: NetwallEvent;
  readonly onChange: (patch: Partial<RuleDraft>) => void;
}

function DraftFields({ draft, event, onChange }: FieldsProps): JSX.Element {
  return (
    <>
      <div class="toolbar">
        <label>
          Effect
          <select
            value={draft.effect}
            onChange={(input) => onChange({ effect: input.currentTarget.value as Effect })}
          >
            {Object.entries(EFFECT_WORDS).map(([effect, words]) => (
              <option key={effect} value={effect}>{words}</option>
            ))}
          </select>
        </label>
        <label>
          Expires
          <select
            value={draft.expires}
            onChange={(input) => onChange({ expires: input.currentTarget.value as Expires })}
          >
            {Object.keys(EXPIRES_MS).map((words) => (
              <option key={words} value={words}>{words === "never" ? words : `in ${words}`}</option>
            ))}
          </select>
        </label>
        <label class="rule-name">
          Name
          <input
            value={draft.name}
            maxLength={63}
            spellcheck={false}
            required
            onInput={(input) => onChange({ name: input.currentTarget.value })}
          />
        </label>
      </div>
      {event.http !== undefined && <RequestFields draft={draft} event={event} onChange={onChange} />}
    </>
  );
}

/** Conditions on the request: each can be left out. */
function RequestFields({ draft, onChange }: FieldsProps): JSX.Element {
  return (
    <fieldset>
      <legend>Only requests with</legend>
      <div class="rule-condition">
        <label class="inline">
          <input
            type="checkbox"
            checked={draft.hasMethod}
            onChange={(input) => onChange({ hasMethod: input.currentTarget.checked })}
          />{" "}
          this method
        </label>
        <input
          aria-label="Method"
          value={draft.method}
          disabled={!draft.hasMethod}
          onInput={(input) => onChange({ method: input.currentTarget.value.trim() })}
        />
      </div>
      <div class="rule-condition">
        <label class="inline">
          <input
            type="checkbox"
            checked={draft.hasPath}
            onChange={(input) => onChange({ hasPath: input.currentTarget.checked })}
          />{" "}
          this path
        </label>
        <input
          aria-label="Path"
          class="mono"
          value={draft.path}
          disabled={!draft.hasPath}
          spellcheck={false}
          onInput={(input) => onChange({ path: input.currentTarget.value.trim() })}
        />
      </div>
      <div class="rule-condition">
        <label class="inline">
          <input
            type="checkbox"
            checked={draft.hasContentType}
            onChange={(input) => onChange({ hasContentType: input.currentTarget.checked })}
          />{" "}
          content type
        </label>
        <span class="mono">{draft.contentType === "" ? "none named" : draft.contentType}</span>
      </div>
    </fieldset>
  );
}
