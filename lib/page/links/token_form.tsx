/**
 * Makes a token, and shows it once: it is in this dialog alone, and gone when that closes.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask } from "../core/api.ts";
import { moment } from "../core/format.ts";
import { groups, links } from "../core/state.ts";
import { Dialog } from "../ui/dialog.tsx";
import { CopyBox } from "./copy_box.tsx";
import { ChoiceField, TextField } from "./field.tsx";
import { MintForm } from "./mint_form.tsx";
import {
  bodyOf,
  EMPTY_FORM,
  fieldErrors,
  type MintedToken,
  type TokenForm,
  TTL_CHOICES,
} from "./token_request.ts";

export interface TokenDialogProps {
  readonly onClose: () => void;
  /** There is one more. */
  readonly onMinted: () => void;
}

export function TokenDialog({ onClose, onMinted }: TokenDialogProps): JSX.Element {
  const [minted, setMinted] = useState<MintedToken & { readonly name: string }>();
  if (minted !== undefined) {
    return (
      <Dialog title={`The token of ${minted.name}`} onClose={onClose}>
        <p class="warning">It is shown this once and kept nowhere: copy it to where the agent reads it.</p>
        <CopyBox title="Token" text={minted.token} />
        <p>
          It holds until{" "}
          {moment(minted.expiresAtMs)}. Put it in a file that only the agent can read, and start the agent
          with <code>--token-file FILE</code>; or set <code>NETWALL_TOKEN</code>.
        </p>
        <footer class="dialog-foot">
          <button type="button" class="primary" onClick={onClose}>I have it</button>
        </footer>
      </Dialog>
    );
  }
  return (
    <Dialog title="Make a token" onClose={onClose}>
      <Form
        onClose={onClose}
        onMinted={(made) => {
          setMinted(made);
          onMinted();
        }}
      />
    </Dialog>
  );
}

interface FormProps {
  readonly onClose: () => void;
  readonly onMinted: (made: MintedToken & { readonly name: string }) => void;
}

function Form({ onClose, onMinted }: FormProps): JSX.Element {
  const [form, setForm] = useState<TokenForm>(EMPTY_FORM);
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map());
  const [isBusy, setBusy] = useState(false);
  const set = (patch: Partial<TokenForm>): void => setForm((before) => ({ ...before, ...patch }));
  const mint = async (): Promise<void> => {
    const body = bodyOf(form);
    setBusy(true);
    try {
      onMinted({ ...await ask<MintedToken>("POST", "/tokens", { json: body }), name: body.name });
    } catch (error) {
      setFaults(fieldErrors(error, body));
      setBusy(false);
    }
  };
  return (
    <MintForm
      faults={faults}
      isBusy={isBusy}
      label="Make the token"
      onClose={onClose}
      onSubmit={() => void mint()}
    >
      <Fields form={form} faults={faults} set={set} />
    </MintForm>
  );
}

interface FieldsProps {
  readonly form: TokenForm;
  readonly faults: ReadonlyMap<string, string>;
  readonly set: (patch: Partial<TokenForm>) => void;
}

function Fields({ form, faults, set }: FieldsProps): JSX.Element {
  const services = [...new Set(links.value.flatMap((link) => link.services))].sort();
  const namespaces = [...new Set(groups.value.map(({ namespace }) => namespace))].sort();
  const text = (field: "name" | "serve" | "reach" | "namespace" | "image") => ({
    value: form[field],
    fault: faults.get(field),
    onText: (value: string): void => set({ [field]: value }),
  });
  return (
    <>
      <TextField label="Name of the agent" hint="Such as web-1" isRequired hasFocus {...text("name")} />
      <TextField label="May serve" hint="Services, such as web, api; * is any" {...text("serve")} />
      <TextField
        label="May call"
        hint="Services of others; * is any; empty is none"
        offers={services}
        {...text("reach")}
      />
      <ChoiceField
        label="Holds for"
        value={String(form.ttlSeconds)}
        choices={TTL_CHOICES.map(({ seconds, label }) => ({ value: String(seconds), label }))}
        fault={faults.get("ttlSeconds")}
        onChoice={(seconds) => set({ ttlSeconds: Number(seconds) })}
      />
      <TextField
        label="Namespace"
        hint="With the image it is the group that rules are about; empty is default"
        offers={namespaces}
        {...text("namespace")}
      />
      <TextField
        label="Image"
        hint="Such as ghcr.io/acme/web:1; empty is a group of its own"
        {...text("image")}
      />
      <label class="inline wide">
        <input
          type="checkbox"
          checked={form.egress}
          onChange={(event) => set({ egress: event.currentTarget.checked })}
        />
        May call the outside through the gateway (where --allow-egress and the policy let it)
      </label>
    </>
  );
}
