/**
 * The fields of a rule, in the order in which one would say it: what happens, from whom, to where, which requests, how long.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { groups } from "../core/state.ts";
import { Field, type FieldProps } from "./form.tsx";
import { type FormFaults, localText, type RuleForm } from "./rule_form.ts";

export interface RuleFieldsProps {
  readonly form: RuleForm;
  readonly faults: FormFaults;
  /** Names of the networks of the policy. */
  readonly networks: readonly string[];
  readonly set: (patch: Partial<RuleForm>) => void;
}

type TextKey = {
  [Key in keyof RuleForm]: RuleForm[Key] extends string | undefined ? Key : never;
}[keyof RuleForm];

/** What a field of the form needs, by the name of the field. */
function bind(
  { form, faults, set }: RuleFieldsProps,
  name: TextKey,
): Pick<FieldProps, "value" | "fault" | "onChange"> {
  return {
    value: form[name] ?? "",
    fault: faults[name],
    onChange: (value) => set({ [name]: value }),
  };
}

/** Of the groups that are known. */
function knownOf(key: "namespace" | "image"): string[] {
  return [...new Set(groups.value.map((group) => group[key]))].sort();
}

export const DIRECTIONS = [
  ["", "any direction"],
  ["north-south", "north-south: visitors from outside"],
  ["east-west", "east-west: between workloads"],
  ["egress", "egress: out to other hosts"],
] as const;

export function WhatFields(props: RuleFieldsProps): JSX.Element {
  const { form, set } = props;
  return (
    <fieldset>
      <legend>What</legend>
      <div class="policy-fields">
        <Field label="Id" hint="Names the rule in events, such as office-only" {...bind(props, "id")} />
        <Field
          label="Effect"
          options={[
            ["allow", "allow: let through"],
            ["alert", "alert: let through, with an event"],
            ["prevent", "prevent: refuse, with an event"],
          ]}
          {...bind(props, "effect")}
        />
        <Field label="Direction" options={DIRECTIONS} {...bind(props, "direction")} />
        <Field
          label="Protocol"
          options={[["", "any protocol"], ["http", "http"], ["tcp", "tcp: raw connections"]]}
          {...bind(props, "protocol")}
        />
      </div>
      <Field label="Comment" hint="Why it is there" {...bind(props, "comment")} />
      <label class="inline">
        <input
          type="checkbox"
          checked={form.enabled}
          onChange={(event) => set({ enabled: event.currentTarget.checked })}
        />
        Switched on
      </label>
      {form.effect !== "allow" && (
        <label class="inline">
          <input
            type="checkbox"
            checked={form.allowLearned}
            onChange={(event) => set({ allowLearned: event.currentTarget.checked })}
          />
          What is learned passes all the same
        </label>
      )}
    </fieldset>
  );
}

export function SourceFields(props: RuleFieldsProps): JSX.Element {
  const { sourceKind } = props.form;
  return (
    <fieldset>
      <legend>From</legend>
      <Field
        label="Who sends"
        options={[
          ["any", "anyone"],
          ["workloads", "workloads"],
          ["network", "a named network"],
          ["cidr", "a network by its addresses"],
        ]}
        {...bind(props, "sourceKind")}
      />
      {sourceKind === "workloads" && (
        <>
          <Field
            label="Namespace of the source"
            hint="Every one when it is empty"
            known={knownOf("namespace")}
            {...bind(props, "sourceNamespace")}
          />
          <Field
            label="Image of the source"
            hint="Without a tag; every one when it is empty"
            known={knownOf("image")}
            {...bind(props, "sourceImage")}
          />
        </>
      )}
      {sourceKind === "network" && (
        <Field
          label="Name of the network"
          hint="internet is every address in none"
          known={[...props.networks, "internet"]}
          {...bind(props, "sourceNetwork")}
        />
      )}
      {sourceKind === "cidr" && (
        <Field label="Addresses of the source" hint="Such as 10.0.0.0/8" {...bind(props, "sourceCidr")} />
      )}
    </fieldset>
  );
}

export function DestinationFields(props: RuleFieldsProps): JSX.Element {
  const { destinationKind } = props.form;
  const isOutside = destinationKind === "host" || destinationKind === "cidr";
  return (
    <fieldset>
      <legend>To</legend>
      <Field
        label="Where to"
        options={[
          ["any", "anywhere"],
          ["workloads", "workloads and their services"],
          ["host", "a host outside"],
          ["cidr", "a network by its addresses"],
        ]}
        {...bind(props, "destinationKind")}
      />
      {destinationKind === "workloads" && (
        <>
          <Field
            label="Namespace of the destination"
            hint="Every one when it is empty"
            known={knownOf("namespace")}
            {...bind(props, "destinationNamespace")}
          />
          <Field
            label="Image of the destination"
            hint="Without a tag; every one when it is empty"
            known={knownOf("image")}
            {...bind(props, "destinationImage")}
          />
          <Field
            label="Service"
            hint="Every one when it is empty"
            known={[...new Set(groups.value.flatMap(({ services }) => services))].sort()}
            {...bind(props, "destinationService")}
          />
        </>
      )}
      {destinationKind === "host" && (
        <Field
          label="Host outside"
          hint="As the caller names it; *.example.com is all below it"
          {...bind(props, "destinationHost")}
        />
      )}
      {destinationKind === "cidr" && (
        <Field label="Addresses" hint="Such as 10.0.0.0/8" {...bind(props, "destinationCidr")} />
      )}
      {isOutside && (
        <Field
          label="Ports"
          hint="Such as 443 8443; every one when it is empty"
          {...bind(props, "destinationPorts")}
        />
      )}
    </fieldset>
  );
}

export function RequestFields(props: RuleFieldsProps): JSX.Element {
  const { form, set } = props;
  const has = hasRequestPart(props);
  // Once open it stays so: it must not close while somebody empties a field.
  const [wasOpen, setOpen] = useState(has);
  return (
    <details
      class="policy-more"
      open={wasOpen || has}
      onToggle={(event) => setOpen(event.currentTarget.open)}
    >
      <summary>Only some requests (http)</summary>
      {form.protocol === "tcp" && (
        <p class="warning">Raw connections have no requests: with any of these the rule matches nothing.</p>
      )}
      <div class="policy-fields">
        <Field label="Methods" hint="Such as GET HEAD" {...bind(props, "methods")} />
        <Field
          label="Hosts"
          kind="area"
          hint="One a line, such as shop.example.com or *.example.com"
          {...bind(props, "hosts")}
        />
        <Field
          label="Paths"
          kind="area"
          hint="One a line, such as /api/{int} or /static/**. {uuid}, {hex}, {date}, {id} and {str} are one segment too"
          {...bind(props, "paths")}
        />
        <Field
          label="Content types"
          kind="area"
          hint="One a line, such as application/json or image/*"
          {...bind(props, "contentTypes")}
        />
      </div>
      <label class="inline">
        <input
          type="checkbox"
          checked={form.isUntyped}
          onChange={(event) => set({ isUntyped: event.currentTarget.checked })}
        />
        Also requests that name no content type
      </label>
    </details>
  );
}

function hasRequestPart({ form, faults }: RuleFieldsProps): boolean {
  const { methods, hosts, paths, contentTypes, isUntyped } = form;
  return isUntyped || [methods, hosts, paths, contentTypes].some((text) => text !== "") ||
    ["methods", "hosts", "paths", "contentTypes"].some((name) => name in faults);
}

const SPANS: readonly (readonly [string, number])[] = [
  ["1 hour", 3_600_000],
  ["1 day", 86_400_000],
  ["1 week", 604_800_000],
];

export function ExpiryField(props: RuleFieldsProps): JSX.Element {
  const { form, set } = props;
  return (
    <fieldset>
      <legend>How long</legend>
      <div class="toolbar">
        <Field label="Expires" kind="datetime-local" {...bind(props, "expires")} />
        {SPANS.map(([words, ms]) => (
          <button
            type="button"
            key={words}
            onClick={() => set({ expires: localText(Date.now() + ms) })}
          >
            In {words}
          </button>
        ))}
        <button type="button" disabled={form.expires === ""} onClick={() => set({ expires: "" })}>
          Never
        </button>
      </div>
      <p class="policy-hint">
        {form.expires === "" ? "It holds until it is taken away." : "From then on it matches nothing."}
      </p>
    </fieldset>
  );
}
