/**
 * Named networks: the addresses that rules speak of by name.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isOperator } from "../core/session.ts";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { same, type Spec } from "./differences.ts";
import { withSpec } from "./draft.ts";
import { byField } from "./faults.ts";
import { Field, FormDialog } from "./form.tsx";
import { formOfNetwork, usersOfNetwork, withNetwork } from "./part_forms.ts";
import { edit, shown } from "./policy_state.ts";
import { check } from "./review.ts";
import { type FormFaults, wordsOf } from "./rule_form.ts";
import { ChangeCell, PartTable } from "./part_table.tsx";

export function NetworksTab(): JSX.Element {
  /** Its name; empty for a new one. */
  const [asked, setAsked] = useState<string>();
  const spec = shown.value?.spec;
  const networks = Object.entries(spec?.networks ?? {});
  const remove = (name: string): void =>
    edit((document) => {
      const { [name]: _gone, ...others } = document.spec.networks;
      return withSpec(document, { networks: others });
    });
  return (
    <section aria-label="Networks">
      <div class="toolbar policy-tools">
        <p class="muted">
          Names for addresses that visitors come from: rules speak of them by name. What lies in none is{" "}
          <b>internet</b>.
        </p>
        {isOperator() && (
          <button type="button" class="primary" onClick={() => setAsked("")}>
            <Icon name="plus" /> New network
          </button>
        )}
      </div>
      {networks.length === 0 && (
        <Empty title="No network has a name">
          <p>
            Every visitor comes from the internet. Name the addresses of your office or VPN, then let a rule
            speak of them.
          </p>
        </Empty>
      )}
      {networks.length > 0 && <NetworkTable spec={spec!} onEdit={setAsked} onRemove={remove} />}
      {asked !== undefined && (
        <NetworkDialog
          key={asked}
          before={asked}
          cidrs={spec?.networks[asked] ?? []}
          onClose={() => setAsked(undefined)}
        />
      )}
    </section>
  );
}

interface NetworkTableProps {
  readonly spec: Spec;
  readonly onEdit: (name: string) => void;
  readonly onRemove: (name: string) => void;
}

function NetworkTable({ spec, onEdit, onRemove }: NetworkTableProps): JSX.Element {
  return (
    <PartTable of="networks" columns={["Name", "Addresses", "Rules about it"]}>
      {Object.entries(spec.networks).map(([name, cidrs]) => {
        const users = usersOfNetwork(spec, name);
        return (
          <tr key={name}>
            <td class="mono" data-label="Name">{name}</td>
            <td class="long mono" data-label="Addresses">{cidrs.join(", ")}</td>
            <td class="long" data-label="Rules about it">
              <Users ids={users} />
            </td>
            <ChangeCell
              name={name}
              kept={users.length > 0 ? "Rules speak of it: change them first" : undefined}
              onEdit={() => onEdit(name)}
              onRemove={() => onRemove(name)}
            />
          </tr>
        );
      })}
    </PartTable>
  );
}

/** Rules that are told by name; more are counted. */
const USERS_TOLD_MAX = 10;

function Users({ ids }: { readonly ids: readonly string[] }): JSX.Element {
  if (ids.length === 0) return <span class="muted">none</span>;
  return (
    <>
      {ids.slice(0, USERS_TOLD_MAX).map((id) => (
        <span key={id}>
          <ViewLink view="policy" params={{ rule: id }}>{id}</ViewLink>
          {" "}
        </span>
      ))}
      {ids.length > USERS_TOLD_MAX && <span class="muted">and {ids.length - USERS_TOLD_MAX} more</span>}
    </>
  );
}

interface NetworkDialogProps {
  readonly before: string;
  readonly cidrs: readonly string[];
  readonly onClose: () => void;
}

function NetworkDialog({ before, cidrs, onClose }: NetworkDialogProps): JSX.Element {
  const first = formOfNetwork(before, cidrs);
  const [form, setForm] = useState(first);
  const [faults, setFaults] = useState<FormFaults>({});
  const save = async (): Promise<void> => {
    const { networks = {} } = shown.peek()?.spec ?? {};
    const name = form.name.trim();
    if (name !== before && Object.hasOwn(networks, name)) {
      return setFaults({ name: `another network is called ${name}: take another name` });
    }
    const found = await check({ networks: { [name]: wordsOf(form.cidrs) } });
    if (found.length > 0) {
      // The name is the key itself: whatever is below it is about the addresses.
      const fieldOf = (path: string): string =>
        !path.startsWith(`spec.networks.${name}`) || path === "spec.networks"
          ? "name"
          : path === `spec.networks.${name}` && wordsOf(form.cidrs).length > 0
          ? "name"
          : "cidrs";
      return setFaults(byField(found, fieldOf));
    }
    edit((document) => withSpec(document, { networks: withNetwork(document.spec.networks, before, form) }));
    onClose();
  };
  const isUsed = before !== "" && usersOfNetwork(shown.value!.spec, before).length > 0;
  return (
    <FormDialog
      title={before === "" ? "New network" : `Network ${before}`}
      isChanged={!same(form, first)}
      {...{ faults, onClose }}
      onSave={save}
    >
      <Field
        label="Name"
        hint={isUsed ? "Rules speak of it, so its name stays" : "Such as office"}
        isDisabled={isUsed}
        value={form.name}
        fault={faults["name"]}
        onChange={(name) => setForm((now) => ({ ...now, name }))}
      />
      <Field
        label="Addresses"
        kind="area"
        hint="One network a line, such as 10.0.0.0/8 or 2001:db8::/32"
        value={form.cidrs}
        fault={faults["cidrs"]}
        onChange={(text) => setForm((now) => ({ ...now, cidrs: text }))}
      />
    </FormDialog>
  );
}
