/**
 * A table of one part of the policy, each row with its buttons for who may change it.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { isOperator } from "../core/session.ts";
import { IconButton } from "./rule_row.tsx";

export interface PartTableProps {
  /** What it is a table of, such as `rate limits`. */
  readonly of: string;
  readonly columns: readonly string[];
  /** Rows. */
  readonly children?: ComponentChildren;
}

export function PartTable({ of, columns, children }: PartTableProps): JSX.Element {
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label={`Table of ${of}`}>
      <table class="policy-table">
        <caption class="hidden">The {of}</caption>
        <thead>
          <tr>
            {columns.map((column) => <th key={column} scope="col">{column}</th>)}
            {isOperator() && <th scope="col">Change</th>}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

export interface ChangeCellProps {
  readonly name: string;
  /** Why it cannot be deleted. */
  readonly kept?: string | undefined;
  readonly onEdit: () => void;
  readonly onRemove: () => void;
}

/** The last cell of a row; viewers have none. */
export function ChangeCell({ name, kept, onEdit, onRemove }: ChangeCellProps): JSX.Element | null {
  if (!isOperator()) return null;
  return (
    <td data-label="Change">
      <div class="policy-actions">
        <IconButton icon="edit" label={`Edit ${name}`} onClick={onEdit} />
        <IconButton
          icon="trash"
          label={`Delete ${name}`}
          isDisabled={kept !== undefined}
          title={kept}
          onClick={onRemove}
        />
      </div>
    </td>
  );
}
