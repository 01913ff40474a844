/**
 * The agents of a group that are linked now: how their links do, and what listens beside the wall.
 *
 * @module
 */
import type { JSX } from "preact";
import { ago, duration, plural } from "../core/format.ts";
import { nowMs } from "../core/state.ts";
import type { Link } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { ViewLink } from "../ui/link.tsx";

const SHOWN_MAX = 20;

export function Agents({ links }: { readonly links: readonly Link[] }): JSX.Element {
  return (
    <section>
      <h3>{plural(links.length, "agent")} linked</h3>
      {links.length === 0 && (
        <p class="muted">
          No agent is linked: start one in the container with netwall-agent, or look at its log.
        </p>
      )}
      <ul class="agents">
        {links.slice(0, SHOWN_MAX).map((link) => <Agent key={`${link.agent} ${link.since}`} link={link} />)}
      </ul>
      {links.length > SHOWN_MAX && <p class="muted">and {links.length - SHOWN_MAX} more: see Links</p>}
    </section>
  );
}

function Agent({ link }: { readonly link: Link }): JSX.Element {
  const { agent, peer, roundTripMs, streams, since, leaving, claimed, wall } = link;
  const claims = Object.entries(claimed);
  return (
    <li>
      <p>
        <ViewLink view="links" params={{ open: agent }} title="Show this agent under Links">
          <b>{visible(agent)}</b>
        </ViewLink>{" "}
        <Badge word={wall.state} label={`wall ${wall.state}`} />
        {leaving && <Badge word="warning" label="leaving" />}
      </p>
      <p class="muted">
        round trip {duration(roundTripMs)}, {plural(streams, "stream")}, linked{" "}
        {ago(Date.parse(since), nowMs.value)}
        {peer === "" ? "" : ` from ${visible(peer)}`}
      </p>
      {wall.exposed.length > 0 && (
        <p class="warning">
          Listens, so that there is a way around the wall:{" "}
          {wall.exposed.slice(0, SHOWN_MAX).map(visible).join(", ")}
        </p>
      )}
      {wall.faults.slice(0, SHOWN_MAX).map((fault) => <p key={fault} class="muted">{visible(fault)}</p>)}
      {claims.length > 0 && (
        <p class="muted">
          It claims: {claims.map(([name, value]) => `${visible(name)} ${visible(value)}`).join(", ")}
        </p>
      )}
    </li>
  );
}
