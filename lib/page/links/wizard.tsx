/**
 * "Add an agent": from a name to a line to paste, and on until the agent is linked.
 *
 * The token is in this dialog alone, in the line to paste; it is gone when the dialog closes.
 *
 * @module
 */
import type { JSX } from "preact";
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import { ask } from "../core/api.ts";
import { groups, links, status } from "../core/state.ts";
import { Dialog } from "../ui/dialog.tsx";
import { showToast } from "../ui/toast.tsx";
import { freeName, gatewayFault, isRaw, targetFault } from "./agent_lines.ts";
import { TextField } from "./field.tsx";
import { MintForm } from "./mint_form.tsx";
import { joinWords, linkKey } from "./link_facts.ts";
import { gatewayOf } from "./reach.ts";
import { bodyOf, EMPTY_FORM, fieldErrors, type MintedToken } from "./token_request.ts";
import { type Made, MadeStep } from "./wizard_made.tsx";

/** What a user wrote once is right the next time. An address is no secret. */
const usedGateway = signal<string | undefined>(undefined);

interface AgentForm {
  readonly service: string;
  readonly target: string;
  /** Empty until somebody writes one: it follows the service until then. */
  readonly name: string;
  readonly namespace: string;
  readonly image: string;
  readonly gateway: string;
}

/** The same while it is written. */
interface Written extends Omit<AgentForm, "gateway"> {
  /** `undefined` until somebody writes one: it follows what the gateway says of itself, which may come later. */
  readonly gateway: string | undefined;
}

export function Wizard({ onClose }: { readonly onClose: () => void }): JSX.Element {
  const [made, setMade] = useState<Made>();
  const [isLinked, setLinked] = useState(false);
  const close = (): void => {
    onClose();
    if (made !== undefined && !isLinked) {
      showToast({
        text:
          `${made.plan.name} is not linked yet. If you did not keep its token, revoke it and add the agent anew.`,
      });
    }
  };
  return (
    <Dialog title={made === undefined ? "Add an agent" : `Start ${made.plan.name}`} onClose={close} isWide>
      {made === undefined ? <FormStep onClose={close} onMade={setMade} /> : (
        <MadeStep
          made={made}
          onLinked={() => setLinked(true)}
          onClose={close}
        />
      )}
    </Dialog>
  );
}

interface FormStepProps {
  readonly onClose: () => void;
  readonly onMade: (made: Made) => void;
}

function FormStep({ onClose, onMade }: FormStepProps): JSX.Element {
  const [form, setForm] = useState<Written>(() => ({
    ...{ service: "web", target: "http://127.0.0.1:3000", name: "", namespace: "", image: "" },
    gateway: usedGateway.peek(),
  }));
  const [faults, setFaults] = useState<ReadonlyMap<string, string>>(new Map());
  const [isBusy, setBusy] = useState(false);
  const set = (patch: Partial<AgentForm>): void => setForm((before) => ({ ...before, ...patch }));
  const dialed = form.gateway ?? gatewayOf(status.value?.entry, location);
  const name = form.name || freeName(form.service.trim(), new Set(links.value.map(({ agent }) => agent)));
  const make = async (): Promise<void> => {
    const gateway = dialed.trim();
    const target = form.target.trim();
    const own = new Map<string, string>();
    const wrongTarget = targetFault(target);
    const wrongGateway = gatewayFault(gateway);
    if (wrongTarget !== undefined) own.set("target", wrongTarget);
    if (wrongGateway !== undefined) own.set("gateway", wrongGateway);
    setFaults(own);
    if (own.size > 0) return;
    const service = form.service.trim();
    const body = bodyOf({
      ...EMPTY_FORM,
      name,
      serve: service,
      namespace: form.namespace,
      image: form.image,
    });
    const before = new Set(links.peek().map(linkKey));
    setBusy(true);
    try {
      const { id, token } = await ask<MintedToken>("POST", "/tokens", { json: body });
      usedGateway.value = gateway;
      onMade({ id, before, plan: { name: body.name, service, target, gateway, token, container: service } });
    } catch (error) {
      setFaults(fieldErrors(error, body));
      setBusy(false);
    }
  };
  return (
    <MintForm
      faults={faults}
      isBusy={isBusy}
      label="Make its token"
      onClose={onClose}
      onSubmit={() => void make()}
    >
      <AgentFields form={{ ...form, name, gateway: dialed }} faults={faults} set={set} />
      <Joins form={{ ...form, name }} />
    </MintForm>
  );
}

/** What it would join. */
function Joins({ form }: { readonly form: Pick<AgentForm, "name" | "service" | "target"> }): JSX.Element {
  const { text, isRefused } = joinWords(links.value, {
    ...{ name: form.name.trim(), service: form.service.trim(), isRaw: isRaw(form.target.trim()) },
  });
  return <p class={`wide joins ${isRefused ? "warning" : "muted"}`} role="status">{text}</p>;
}

interface AgentFieldsProps {
  readonly form: AgentForm;
  readonly faults: ReadonlyMap<string, string>;
  readonly set: (patch: Partial<AgentForm>) => void;
}

function AgentFields({ form, faults, set }: AgentFieldsProps): JSX.Element {
  const namespaces = [...new Set(groups.value.map(({ namespace }) => namespace))].sort();
  const images = [...new Set(links.value.map(({ image }) => image).filter((image) => image !== ""))].sort();
  const text = (field: keyof AgentForm) => ({
    value: form[field],
    onText: (value: string): void => set({ [field]: value }),
  });
  return (
    <>
      <TextField
        label="Service"
        hint="The name that it is published under"
        isRequired
        hasFocus
        fault={faults.get("serve")}
        {...text("service")}
      />
      <TextField
        label="Target"
        hint="Where it listens, as seen from beside it: http://127.0.0.1:3000, tcp://127.0.0.1:5432, unix:/run/app.sock"
        isRequired
        fault={faults.get("target")}
        {...text("target")}
      />
      <TextField
        label="Name of the agent"
        hint="One for each container"
        isRequired
        fault={faults.get("name")}
        {...text("name")}
      />
      <TextField
        label="Gateway"
        hint="Its public address, as the agent dials it: wss://HOST with TLS, ws://HOST:PORT without"
        isRequired
        fault={faults.get("gateway")}
        {...text("gateway")}
      />
      <TextField
        label="Namespace (may be empty)"
        hint="Such as shop; with the image it makes the group that is learned and ruled on"
        offers={namespaces}
        fault={faults.get("namespace")}
        {...text("namespace")}
      />
      <TextField
        label="Image (may be empty)"
        hint="Such as ghcr.io/acme/web:1; all containers of one image and namespace are judged alike"
        offers={images}
        fault={faults.get("image")}
        {...text("image")}
      />
    </>
  );
}
