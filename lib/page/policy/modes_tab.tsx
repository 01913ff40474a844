/**
 * Modes: what becomes of traffic that no rule is about, for all and for single groups.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isOperator } from "../core/session.ts";
import { groups } from "../core/state.ts";
import type { Mode, PolicyMode } from "../core/types.ts";
import { Badge } from "../ui/badge.tsx";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { modeName, same } from "./differences.ts";
import { withSpec } from "./draft.ts";
import { partFaults } from "./faults.ts";
import { Field, FormDialog } from "./form.tsx";
import { formOfMode, modeOfForm } from "./part_forms.ts";
import { edit, shown } from "./policy_state.ts";
import { check } from "./review.ts";
import { DIRECTIONS } from "./rule_fields.tsx";
import type { FormFaults } from "./rule_form.ts";
import { ChangeCell, PartTable } from "./part_table.tsx";

export const MODE_WORDS = [
  ["learn", "learn: let through, and remember"],
  ["alert", "alert: let through, with an event"],
  ["prevent", "prevent: refuse, with an event"],
] as const;

export function ModesTab(): JSX.Element {
  const [asked, setAsked] = useState<number | "new">();
  const spec = shown.value?.spec;
  const modes = spec?.modes ?? [];
  const setDefault = (mode: string): void =>
    edit((document) => withSpec(document, { defaultMode: mode as Mode }));
  const remove = (index: number): void =>
    edit((document) => withSpec(document, { modes: document.spec.modes.toSpliced(index, 1) }));
  return (
    <section aria-label="Modes">
      <div class="toolbar policy-tools">
        <Field
          label="Default mode"
          hint="For every group that has none of its own"
          value={spec?.defaultMode ?? "learn"}
          options={MODE_WORDS}
          isDisabled={!isOperator()}
          onChange={setDefault}
        />
        {isOperator() && (
          <button type="button" class="primary" onClick={() => setAsked("new")}>
            <Icon name="plus" /> New mode
          </button>
        )}
      </div>
      <p class="muted">
        The most specific one holds: an image before a namespace, with a direction before without, set by hand
        before by evidence. Between two groups the stricter one holds.
      </p>
      {modes.length === 0
        ? (
          <Empty title="No group has a mode of its own">
            <p>
              All of them have the default mode. Set one for a group on the map, or here; netwall itself moves
              a group from learn to alert when its model is stable.
            </p>
          </Empty>
        )
        : <ModeTable modes={modes} onEdit={setAsked} onRemove={remove} />}
      {asked !== undefined && (
        <ModeDialog
          key={asked}
          {...(asked === "new" ? {} : { entry: modes[asked]!, index: asked })}
          onClose={() => setAsked(undefined)}
        />
      )}
    </section>
  );
}

interface ModeTableProps {
  readonly modes: readonly PolicyMode[];
  readonly onEdit: (index: number) => void;
  readonly onRemove: (index: number) => void;
}

function ModeTable({ modes, onEdit, onRemove }: ModeTableProps): JSX.Element {
  return (
    <PartTable of="modes" columns={["Namespace", "Image", "Direction", "Mode", "Set by"]}>
      {modes.map((entry, index) => (
        <tr key={`${index}:${modeName(entry)}`}>
          <td class="long" data-label="Namespace">
            {entry.namespace ?? <span class="muted">every</span>}
          </td>
          <td class="long" data-label="Image">{entry.image ?? <span class="muted">every</span>}</td>
          <td data-label="Direction">{entry.direction ?? <span class="muted">all three</span>}</td>
          <td data-label="Mode">
            <Badge word={entry.mode} />
          </td>
          <td data-label="Set by">{entry.origin === "promoted" ? "evidence" : "hand"}</td>
          <ChangeCell name={modeName(entry)} onEdit={() => onEdit(index)} onRemove={() => onRemove(index)} />
        </tr>
      ))}
    </PartTable>
  );
}

interface ModeDialogProps {
  readonly entry?: PolicyMode;
  readonly index?: number;
  readonly onClose: () => void;
}

function ModeDialog({ entry, index, onClose }: ModeDialogProps): JSX.Element {
  const first = formOfMode(entry);
  const [form, setForm] = useState(first);
  const [faults, setFaults] = useState<FormFaults>({});
  const known = groups.value;
  const bind = (name: keyof typeof form) => ({
    value: form[name],
    fault: faults[name],
    onChange: (value: string): void => setForm((now) => ({ ...now, [name]: value })),
  });
  const save = async (): Promise<void> => {
    const made = modeOfForm(form);
    const others = (shown.peek()?.spec.modes ?? []).filter((_, place) => place !== index);
    if (others.some((other) => modeName(other) === modeName(made))) {
      return setFaults({ "": `there is a mode for ${modeName(made)} already: edit that one` });
    }
    const found = await check({ modes: [made] });
    if (found.length > 0) return setFaults(partFaults(found, ["namespace", "image", "direction", "mode"]));
    edit((document) => {
      const { modes } = document.spec;
      return withSpec(document, { modes: index === undefined ? [...modes, made] : modes.with(index, made) });
    });
    onClose();
  };
  return (
    <FormDialog
      title={entry === undefined ? "New mode" : `Mode of ${modeName(entry)}`}
      isChanged={!same(form, first)}
      {...{ faults, onClose }}
      onSave={save}
    >
      <Field
        label="Namespace"
        hint="Every one when it is empty"
        known={[...new Set(known.map(({ namespace }) => namespace))].sort()}
        {...bind("namespace")}
      />
      <Field
        label="Image"
        hint="Without a tag; every one when it is empty"
        known={[...new Set(known.map(({ image }) => image))].sort()}
        {...bind("image")}
      />
      <Field label="Direction" options={[["", "all three"], ...DIRECTIONS.slice(1)]} {...bind("direction")} />
      <Field label="Mode" options={MODE_WORDS} {...bind("mode")} />
    </FormDialog>
  );
}
