/**
 * The form of a rule: all that the schema of the policy knows.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { PolicyRule } from "../core/types.ts";
import { insertRule, setRule } from "./draft.ts";
import { ruleFaults } from "./faults.ts";
import { FormDialog } from "./form.tsx";
import { edit, shown } from "./policy_state.ts";
import { check } from "./review.ts";
import { DestinationFields, ExpiryField, RequestFields, SourceFields, WhatFields } from "./rule_fields.tsx";
import { breadthWords, type FormFaults, formOfRule, ruleOfForm } from "./rule_form.ts";

export interface RuleDialogProps {
  /** What is edited or copied; nothing for a new rule. */
  readonly rule?: PolicyRule;
  /** The place of the rule that is edited; nothing when one is added. */
  readonly index?: number;
  /** Where one that is added will stand. */
  readonly at?: number;
  readonly onClose: () => void;
  readonly onDone: (id: string) => void;
}

export function RuleDialog({ rule, index, at = 0, onClose, onDone }: RuleDialogProps): JSX.Element {
  const first = formOfRule(rule);
  const [form, setForm] = useState(first);
  const [faults, setFaults] = useState<FormFaults>({});
  const [isChanged, setChanged] = useState(false);
  const document = shown.value;
  const breadth = breadthWords(form);
  const save = async (): Promise<void> => {
    if (document === undefined) return;
    const { value, faults: own } = ruleOfForm(form);
    if (own !== undefined) return setFaults(own);
    const { rules, networks } = document.spec;
    if (rules.some((other, place) => other.id === value.id && place !== index)) {
      return setFaults({ id: `another rule is called ${value.id}: take another id` });
    }
    const found = await check({ networks, rules: [value] });
    if (found.length > 0) return setFaults(ruleFaults(found));
    edit((now) => index === undefined ? insertRule(now, at, value) : setRule(now, index, value));
    onDone(value.id);
  };
  const props = {
    ...{ form, faults, networks: Object.keys(document?.spec.networks ?? {}) },
    set: (patch: Partial<typeof form>): void => {
      setForm((now) => ({ ...now, ...patch }));
      setChanged(true);
    },
  };
  return (
    <FormDialog
      title={index === undefined ? "New rule" : `Rule ${rule?.id}`}
      {...{ isChanged, faults, onClose }}
      onSave={save}
      isWide
    >
      <WhatFields {...props} />
      <div class="policy-ends">
        <SourceFields {...props} />
        <DestinationFields {...props} />
      </div>
      {breadth !== "" && <p class="warning">{breadth}</p>}
      <RequestFields {...props} />
      <ExpiryField {...props} />
    </FormDialog>
  );
}
