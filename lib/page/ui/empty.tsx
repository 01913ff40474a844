/**
 * What stands where nothing is yet: what is missing, and what to do.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";

export function Empty(
  { title, children }: { readonly title: string; readonly children?: ComponentChildren },
): JSX.Element {
  return (
    <div class="empty">
      <p class="empty-title">{title}</p>
      {children}
    </div>
  );
}
