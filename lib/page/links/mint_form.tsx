/**
 * A form that makes a token: its fields, what is wrong with the whole, and its buttons.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";

export interface MintFormProps {
  /** By the name of the field; what is about no field has the empty name. */
  readonly faults: ReadonlyMap<string, string>;
  readonly isBusy: boolean;
  /** What its button says. */
  readonly label: string;
  readonly onClose: () => void;
  readonly onSubmit: () => void;
  /** The fields. */
  readonly children?: ComponentChildren;
}

export function MintForm({ faults, isBusy, label, onClose, onSubmit, children }: MintFormProps): JSX.Element {
  return (
    <form
      class="form-grid"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {children}
      {faults.has("") && <p class="fault wide" role="alert">{faults.get("")}</p>}
      <footer class="dialog-foot wide">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="submit" class="primary" disabled={isBusy}>{isBusy ? "Making…" : label}</button>
      </footer>
    </form>
  );
}
