/**
 * A link to a view of the page: followed without a reload, and like any other link in a new tab.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { go, hrefOf, type View } from "../core/router.ts";

export interface ViewLinkProps {
  readonly view: View;
  readonly params?: Readonly<Record<string, string | undefined>>;
  readonly class?: string;
  readonly title?: string;
  readonly current?: boolean;
  readonly children?: ComponentChildren;
}

export function ViewLink({ view, params = {}, current, children, ...rest }: ViewLinkProps): JSX.Element {
  return (
    <a
      {...rest}
      href={hrefOf(view, params)}
      aria-current={current ? "page" : undefined}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        go(view, params);
      }}
    >
      {children}
    </a>
  );
}
