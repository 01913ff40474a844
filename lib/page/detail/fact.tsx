/**
 * A name and what it is, in a list of facts: `<dl class="facts">`.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";

export function Fact(
  { words, children }: { readonly words: string; readonly children?: ComponentChildren },
): JSX.Element {
  return (
    <>
      <dt>{words}</dt>
      <dd>{children}</dd>
    </>
  );
}
