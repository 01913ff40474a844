/**
 * Leads from an agent to the tokens that have its name.
 *
 * @module
 */
import type { JSX } from "preact";
import { isOperator } from "../core/session.ts";
import { visible } from "../core/visible.ts";
import { ViewLink } from "../ui/link.tsx";

/** Nothing for viewers, who see no tokens. */
export function TokenLink({ agent }: { readonly agent: string }): JSX.Element | null {
  if (!isOperator()) return null;
  return (
    <ViewLink
      view="links"
      params={{ tab: "tokens", q: agent }}
      title={`Tokens of ${visible(agent)}`}
    >
      Token <span class="hidden">of {visible(agent)}</span>
    </ViewLink>
  );
}
