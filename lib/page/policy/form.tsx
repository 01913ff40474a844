/**
 * Fields and dialogs of forms: each field with its label, a hint, and what is wrong with it.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { messageOf } from "../core/api.ts";
import { Dialog } from "../ui/dialog.tsx";
import type { FormFaults } from "./rule_form.ts";

export interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly kind?: "text" | "area" | "datetime-local" | "number";
  /** A choice: value and words. */
  readonly options?: readonly (readonly [string, string])[];
  /** What may be meant; anything else may be written too. */
  readonly known?: readonly string[];
  readonly hint?: string;
  readonly fault?: string | undefined;
  readonly isDisabled?: boolean;
}

/** More would not be looked through. */
const KNOWN_MAX = 200;

export function Field(props: FieldProps): JSX.Element {
  const { label, hint = "", fault = "", known } = props;
  const id = useId();
  const ids = [...(hint === "" ? [] : [`${id}-hint`]), ...(fault === "" ? [] : [`${id}-fault`])];
  const shared = {
    id,
    disabled: props.isDisabled,
    "aria-describedby": ids.length === 0 ? undefined : ids.join(" "),
    "aria-invalid": fault === "" ? undefined : true,
  } as const;
  return (
    <div class="policy-field">
      <label for={id}>{label}</label>
      <Control {...props} shared={shared} listId={known === undefined ? undefined : `${id}-known`} />
      {known !== undefined && (
        <datalist id={`${id}-known`}>
          {known.slice(0, KNOWN_MAX).map((word) => <option key={word} value={word} />)}
        </datalist>
      )}
      {hint !== "" && <p class="policy-hint" id={`${id}-hint`}>{hint}</p>}
      {fault !== "" && <p class="fault" id={`${id}-fault`}>{fault}</p>}
    </div>
  );
}

interface ControlProps extends FieldProps {
  readonly shared: {
    readonly id: string;
    readonly disabled: boolean | undefined;
    readonly "aria-describedby": string | undefined;
    readonly "aria-invalid": true | undefined;
  };
  readonly listId: string | undefined;
}

function Control({ kind = "text", options, value, onChange, shared, listId }: ControlProps): JSX.Element {
  if (options !== undefined) {
    return (
      <select {...shared} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {options.map(([each, words]) => (
          <option key={each} value={each} selected={each === value}>{words}</option>
        ))}
      </select>
    );
  }
  if (kind === "area") {
    return (
      <textarea
        {...shared}
        rows={3}
        spellcheck={false}
        value={value}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  return (
    <input
      {...shared}
      // A field of numbers would give nothing for what is no number, and so hide it.
      type={kind === "number" ? "text" : kind}
      inputmode={kind === "number" ? "decimal" : undefined}
      list={listId}
      autocomplete="off"
      spellcheck={false}
      value={value}
      onInput={(event) => onChange(event.currentTarget.value)}
    />
  );
}

export interface FormDialogProps {
  readonly title: string;
  /** Whether something would be lost. */
  readonly isChanged: boolean;
  readonly faults: FormFaults;
  readonly saveLabel?: string;
  readonly isWide?: boolean;
  readonly onClose: () => void;
  /** Closes the dialog itself when all is well. */
  readonly onSave: () => Promise<void>;
  readonly children?: ComponentChildren;
}

/** A dialog with one form. What was typed is not lost by a click beside it. */
export function FormDialog(props: FormDialogProps): JSX.Element {
  const { title, isChanged, faults, saveLabel = "Put into the draft", isWide, onClose, onSave } = props;
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState("");
  const [isLeaving, setLeaving] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    form.current?.querySelector<HTMLElement>("[aria-invalid]")?.focus();
  }, [faults]);
  const close = (): void => isChanged && !isLeaving ? setLeaving(true) : onClose();
  const save = async (): Promise<void> => {
    setBusy(true);
    setFailure("");
    try {
      await onSave();
    } catch (error) {
      setFailure(messageOf(error));
    }
    setBusy(false);
  };
  const whole = failure !== "" ? failure : faults[""] ?? "";
  return (
    <Dialog title={title} onClose={close} isWide={isWide ?? false}>
      <form
        ref={form}
        class="policy-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        {props.children}
        {whole !== "" && <p class="fault" role="alert">{whole}</p>}
        {whole === "" && Object.keys(faults).length > 0 && (
          <p class="fault" role="alert">Some fields cannot be used: see there</p>
        )}
        {isLeaving
          ? (
            <footer class="dialog-foot">
              <span role="alert">Throw away what you have typed?</span>
              <button type="button" onClick={() => setLeaving(false)}>Go on with it</button>
              <button type="button" class="danger" onClick={onClose}>Throw away</button>
            </footer>
          )
          : (
            <footer class="dialog-foot">
              <button type="button" onClick={onClose}>Cancel</button>
              <button type="submit" class="primary" disabled={isBusy}>
                {isBusy ? "Asking…" : saveLabel}
              </button>
            </footer>
          )}
      </form>
    </Dialog>
  );
}
