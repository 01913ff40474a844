/**
 * Rate limits: how much one source may ask for, and how long it is refused when it asks for more.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isOperator } from "../core/session.ts";
import { groups } from "../core/state.ts";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { type RateLimit, same } from "./differences.ts";
import { withSpec } from "./draft.ts";
import { partFaults } from "./faults.ts";
import { Field, FormDialog } from "./form.tsx";
import { formOfLimit, limitOfForm, limitWords } from "./part_forms.ts";
import { edit, shown } from "./policy_state.ts";
import { check } from "./review.ts";
import type { FormFaults } from "./rule_form.ts";
import { ChangeCell, PartTable } from "./part_table.tsx";

export function LimitsTab(): JSX.Element {
  const [asked, setAsked] = useState<number | "new">();
  const limits = shown.value?.spec.rateLimits ?? [];
  const remove = (index: number): void =>
    edit((document) => withSpec(document, { rateLimits: document.spec.rateLimits.toSpliced(index, 1) }));
  return (
    <section aria-label="Rate limits">
      <div class="toolbar policy-tools">
        <p class="muted">
          A source over a limit gets 429; with a ban it is refused altogether for a while: see{" "}
          <ViewLink view="policy" params={{ tab: "bans" }}>bans</ViewLink>.
        </p>
        {isOperator() && (
          <button type="button" class="primary" onClick={() => setAsked("new")}>
            <Icon name="plus" /> New rate limit
          </button>
        )}
      </div>
      {limits.length === 0
        ? (
          <Empty title="There are no rate limits">
            <p>
              A source may ask as often as it likes. A limit such as 100 requests in 1 s holds back a flood.
            </p>
          </Empty>
        )
        : <LimitTable limits={limits} onEdit={setAsked} onRemove={remove} />}
      {asked !== undefined && (
        <LimitDialog
          key={asked}
          {...(asked === "new" ? {} : { limit: limits[asked]!, index: asked })}
          onClose={() => setAsked(undefined)}
        />
      )}
    </section>
  );
}

interface LimitTableProps {
  readonly limits: readonly RateLimit[];
  readonly onEdit: (index: number) => void;
  readonly onRemove: (index: number) => void;
}

function LimitTable({ limits, onEdit, onRemove }: LimitTableProps): JSX.Element {
  return (
    <PartTable of="rate limits" columns={["Id", "Service", "One source may make"]}>
      {limits.map((limit, index) => (
        <tr key={limit.id}>
          <td class="mono" data-label="Id">{limit.id}</td>
          <td data-label="Service">{limit.service ?? <span class="muted">every service</span>}</td>
          <td data-label="One source may make">{limitWords(limit)}</td>
          <ChangeCell name={limit.id} onEdit={() => onEdit(index)} onRemove={() => onRemove(index)} />
        </tr>
      ))}
    </PartTable>
  );
}

interface LimitDialogProps {
  readonly limit?: RateLimit;
  readonly index?: number;
  readonly onClose: () => void;
}

function LimitDialog({ limit, index, onClose }: LimitDialogProps): JSX.Element {
  const first = formOfLimit(limit);
  const [form, setForm] = useState(first);
  const [faults, setFaults] = useState<FormFaults>({});
  const bind = (name: keyof typeof form) => ({
    value: form[name],
    fault: faults[name],
    onChange: (value: string): void => setForm((now) => ({ ...now, [name]: value })),
  });
  const save = async (): Promise<void> => {
    const { value, faults: own } = limitOfForm(form);
    if (own !== undefined) return setFaults(own);
    const others = (shown.peek()?.spec.rateLimits ?? []).filter((_, place) => place !== index);
    if (others.some(({ id }) => id === value.id)) {
      return setFaults({ id: `another rate limit is called ${value.id}: take another id` });
    }
    const found = await check({ rateLimits: [value] });
    if (found.length > 0) return setFaults(partFaults(found, Object.keys(form)));
    edit((document) => {
      const { rateLimits } = document.spec;
      const next = index === undefined ? [...rateLimits, value] : rateLimits.with(index, value);
      return withSpec(document, { rateLimits: next });
    });
    onClose();
  };
  return (
    <FormDialog
      title={limit === undefined ? "New rate limit" : `Rate limit ${limit.id}`}
      isChanged={!same(form, first)}
      {...{ faults, onClose }}
      onSave={save}
    >
      <Field label="Id" hint="Names it in events, such as login" {...bind("id")} />
      <Field
        label="Service"
        hint="Every one when it is empty"
        known={[...new Set(groups.value.flatMap(({ services }) => services))].sort()}
        {...bind("service")}
      />
      <div class="policy-fields">
        <Field label="Requests or connections" kind="number" {...bind("requests")} />
        <Field label="In so many seconds" kind="number" {...bind("seconds")} />
        <Field label="At once" kind="number" hint="As many as requests when it is empty" {...bind("burst")} />
        <Field
          label="Seconds of a ban"
          kind="number"
          hint="A source over it is refused for so long; 0 for none"
          {...bind("banSeconds")}
        />
      </div>
    </FormDialog>
  );
}
