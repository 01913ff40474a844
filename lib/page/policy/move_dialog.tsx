/**
 * Moves a rule to a place that is named by its number.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { PolicyRule } from "../core/types.ts";
import { moveRule } from "./draft.ts";
import { Field, FormDialog } from "./form.tsx";
import { edit } from "./policy_state.ts";
import type { FormFaults } from "./rule_form.ts";

export interface MoveDialogProps {
  readonly rule: PolicyRule;
  readonly index: number;
  /** How many rules there are. */
  readonly size: number;
  readonly onDone: (id: string) => void;
  readonly onClose: () => void;
}

export function MoveDialog({ rule, index, size, onDone, onClose }: MoveDialogProps): JSX.Element {
  const [text, setText] = useState(String(index + 1));
  const [faults, setFaults] = useState<FormFaults>({});
  const save = (): Promise<void> => {
    const to = /^\d{1,5}$/.test(text.trim()) ? Number(text) : 0;
    if (to < 1 || to > size) setFaults({ place: `write a number from 1 to ${size}` });
    else {
      edit((document) => moveRule(document, index, to - 1));
      onDone(rule.id);
    }
    return Promise.resolve();
  };
  return (
    <FormDialog
      title={`Move ${rule.id}`}
      isChanged={false}
      saveLabel="Move"
      {...{ faults, onClose }}
      onSave={save}
    >
      <p>The first rule that matches decides: further up is stronger.</p>
      <Field
        label="New place"
        kind="number"
        value={text}
        onChange={setText}
        hint={`1 is the first, ${size} the last`}
        fault={faults["place"]}
      />
    </FormDialog>
  );
}
