/**
 * A field of a form: its label, what may stand in it, and what is wrong with it.
 *
 * @module
 */
import type { JSX } from "preact";
import { useId } from "preact/hooks";

/** What ties an input to its label and its words. */
export interface FieldTies {
  readonly id: string;
  readonly "aria-describedby": string | undefined;
  readonly "aria-invalid": "true" | undefined;
}

export interface FieldProps {
  readonly label: string;
  readonly hint?: string;
  /** Empty when nothing is wrong. */
  readonly fault?: string | undefined;
  readonly children: (ties: FieldTies) => JSX.Element;
}

export function Field({ label, hint, fault = "", children }: FieldProps): JSX.Element {
  const id = useId();
  const words = [hint === undefined ? "" : `${id}-hint`, fault === "" ? "" : `${id}-fault`].join(" ").trim();
  return (
    <div class="form-field">
      <label for={id}>{label}</label>
      {children({
        id,
        "aria-describedby": words === "" ? undefined : words,
        "aria-invalid": fault === "" ? undefined : "true",
      })}
      {hint !== undefined && <span id={`${id}-hint`} class="muted">{hint}</span>}
      {fault !== "" && <span id={`${id}-fault`} class="fault" role="alert">{fault}</span>}
    </div>
  );
}

export interface TextFieldProps extends Omit<FieldProps, "children"> {
  readonly value: string;
  readonly onText: (text: string) => void;
  readonly isRequired?: boolean;
  readonly placeholder?: string;
  /** Offered while typing. */
  readonly offers?: readonly string[];
  readonly hasFocus?: boolean;
}

/** Offers of a field; more would hide the page. */
const OFFERS_MAX = 50;

export function TextField(props: TextFieldProps): JSX.Element {
  const { value, onText, isRequired = false, placeholder, offers = [], hasFocus = false, ...rest } = props;
  const list = useId();
  return (
    <Field {...rest}>
      {(ties) => (
        <>
          <input
            {...ties}
            type="text"
            value={value}
            required={isRequired}
            placeholder={placeholder}
            autocomplete="off"
            autocapitalize="off"
            spellcheck={false}
            autofocus={hasFocus}
            list={offers.length > 0 ? list : undefined}
            onInput={(event) => onText(event.currentTarget.value)}
          />
          {offers.length > 0 && (
            <datalist id={list}>
              {offers.slice(0, OFFERS_MAX).map((offer) => <option key={offer} value={offer} />)}
            </datalist>
          )}
        </>
      )}
    </Field>
  );
}

export interface ChoiceFieldProps<T extends string> extends Omit<FieldProps, "children"> {
  readonly value: T;
  readonly choices: readonly { readonly value: T; readonly label: string }[];
  readonly onChoice: (value: T) => void;
}

export function ChoiceField<T extends string>(props: ChoiceFieldProps<T>): JSX.Element {
  const { value, choices, onChoice, ...rest } = props;
  return (
    <Field {...rest}>
      {(ties) => (
        <select
          {...ties}
          value={value}
          onChange={(event) => onChoice(event.currentTarget.value as T)}
        >
          {choices.map((choice) => <option key={choice.value} value={choice.value}>{choice.label}</option>)}
        </select>
      )}
    </Field>
  );
}
