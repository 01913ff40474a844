/**
 * A row of the table of links about an agent that was linked, and is not any more.
 *
 * @module
 */
import type { JSX } from "preact";
import { shortMoment } from "../core/format.ts";
import type { GoneLink } from "../core/gone.ts";
import { nowMs } from "../core/state.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { ViewLink } from "../ui/link.tsx";
import { containerText } from "./link_facts.ts";
import { TokenLink } from "./token_link.tsx";

export function GoneRow(
  { gone: { link, sinceMs }, isOpen }: { readonly gone: GoneLink; readonly isOpen: boolean },
): JSX.Element {
  const { agent, services, group } = link;
  return (
    <tr class={isOpen ? "faded chosen" : "faded"}>
      <th scope="row">
        {visible(agent)} <Badge word="warning" label={`gone since ${shortMoment(sinceMs, nowMs.peek())}`} />
        {" "}
        <TokenLink agent={agent} />
      </th>
      <td class="long">{services.join(", ") || "–"}</td>
      <td class="minor long">
        <ViewLink view="map" params={{ group }}>{group}</ViewLink>
      </td>
      <td class="minor long">{containerText(link) || "–"}</td>
      <td class="minor">not any more</td>
      <td class="minor number">–</td>
      <td class="minor number">–</td>
      <td>–</td>
    </tr>
  );
}
