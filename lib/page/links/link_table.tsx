/**
 * The table of links. A row opens to everything that is known of it.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ago, duration, moment, plural } from "../core/format.ts";
import type { GoneLink } from "../core/gone.ts";
import { place, setParams } from "../core/router.ts";
import { nowMs, status } from "../core/state.ts";
import type { Link } from "../core/types.ts";
import { Badge } from "../ui/badge.tsx";
import { ViewLink } from "../ui/link.tsx";
import { GoneRow } from "./gone_row.tsx";
import { callsOf, claimsOf, containerText, differencesOf, linkKey, wallWords } from "./link_facts.ts";
import { TokenLink } from "./token_link.tsx";

/** Rows that are drawn until more are asked for. */
const ROWS_STEP = 200;

export interface LinkTableProps {
  readonly links: readonly Link[];
  readonly gone: readonly GoneLink[];
  /** Links there are, shown or not. */
  readonly all: number;
}

export function LinkTable({ links, gone, all }: LinkTableProps): JSX.Element {
  const [asked, setRows] = useState(ROWS_STEP);
  const open = place.value.params.get("open");
  // The one that is asked for is shown, however far down it stands.
  const rows = Math.max(asked, links.findIndex(({ agent }) => agent === open) + 1);
  return (
    <>
      <div class="table-frame">
        <table>
          <caption>
            {links.length === all ? plural(all, "link") : `${links.length} of ${plural(all, "link")}`}
          </caption>
          <thead>
            <tr>
              <th scope="col">Agent</th>
              <th scope="col">Serves</th>
              <th scope="col" class="minor">Group</th>
              <th scope="col" class="minor">Claims to be</th>
              <th scope="col" class="minor">Linked</th>
              <th scope="col" class="minor number">Round trip</th>
              <th scope="col" class="minor number">Streams</th>
              <th scope="col">Wall</th>
            </tr>
          </thead>
          <tbody>
            {links.slice(0, rows).map((link) => (
              <LinkRow key={linkKey(link)} link={link} isOpen={open === link.agent} />
            ))}
            {gone.map((one) => (
              <GoneRow key={`gone ${one.link.agent}`} gone={one} isOpen={open === one.link.agent} />
            ))}
          </tbody>
        </table>
      </div>
      {links.length > rows && (
        <button type="button" onClick={() => setRows(rows + ROWS_STEP)}>
          Show {Math.min(ROWS_STEP, links.length - rows)} more
        </button>
      )}
    </>
  );
}

function LinkRow({ link, isOpen }: { readonly link: Link; readonly isOpen: boolean }): JSX.Element {
  const id = useId();
  const { agent, services, group, since, roundTripMs, streams, wall, leaving } = link;
  const sinceMs = Date.parse(since);
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    // Whoever came by a link to it has to see it.
    if (isOpen) row.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <>
      <tr ref={row} class={isOpen ? "chosen" : ""}>
        <th scope="row">
          <button
            type="button"
            class="opener"
            aria-expanded={isOpen}
            aria-controls={isOpen ? id : undefined}
            onClick={() => setParams({ open: isOpen ? undefined : agent }, "push")}
          >
            <span aria-hidden="true">{isOpen ? "▾" : "▸"}</span> {agent}
          </button>
          {leaving && (
            <Badge word="warning" label="leaving" title="It takes nothing new, and ends when it is done" />
          )}
          {differencesOf(link).length > 0 && <Badge word="warning" label="claims differ" />}
        </th>
        <td class="long">{services.join(", ") || "–"}</td>
        <td class="minor long">
          <ViewLink view="map" params={{ group }}>{group}</ViewLink>
        </td>
        <td class="minor long">{containerText(link) || "–"}</td>
        <td class="minor" title={moment(sinceMs)}>{ago(sinceMs, nowMs.value)}</td>
        <td class="minor number">{duration(roundTripMs)}</td>
        <td class="minor number">{streams}</td>
        <td>
          <Badge word={wall.state === "unknown" ? "question" : wall.state} label={WALL_LABELS[wall.state]} />
        </td>
      </tr>
      {isOpen && (
        <tr id={id}>
          <td colSpan={8} class="link-details">
            <Details link={link} />
          </td>
        </tr>
      )}
    </>
  );
}

const WALL_LABELS = { whole: "whole", broken: "broken", unknown: "? unknown" } as const;

function Details({ link }: { readonly link: Link }): JSX.Element {
  const { version = "", runtime = "" } = status.value ?? {};
  const { agent, namespace, image, group, services, tcp, peer, since, roundTripMs, streams } = link;
  const sinceMs = Date.parse(since);
  const raw = new Set(tcp);
  return (
    <div class="link-cards">
      <section aria-label={`What the token of ${agent} says`}>
        <h2>Enrolled, by its token</h2>
        <dl>
          <Fact name="Agent">
            {agent} <TokenLink agent={agent} />
          </Fact>
          <Fact name="Group">
            <ViewLink view="map" params={{ group }}>{group}</ViewLink>
          </Fact>
          <Fact name="Namespace">{namespace}</Fact>
          <Fact name="Image">{image || "none: it is a group of its own"}</Fact>
          <Fact name="Serves">
            {services.map((name) => raw.has(name) ? `${name} (raw)` : name).join(", ") || "nothing"}
          </Fact>
          <Fact name="May call">
            {callsOf(link) || "nothing"}
          </Fact>
        </dl>
      </section>
      <Claims link={link} />
      <section aria-label={`The link of ${agent}`}>
        <h2>Link</h2>
        <dl>
          <Fact name="Gateway">this one ({`netwall ${version}, ${runtime}`})</Fact>
          <Fact name="Its address">{peer || "a unix socket"}</Fact>
          <Fact name="Since">{moment(sinceMs)} ({ago(sinceMs, nowMs.value)})</Fact>
          <Fact name="Round trip">{duration(roundTripMs)}</Fact>
          <Fact name="Streams">{streams}</Fact>
          <Fact name="State">
            {link.leaving ? "leaving: it takes nothing new, and ends when it is done" : "linked"}
          </Fact>
        </dl>
      </section>
      <Wall link={link} />
    </div>
  );
}

function Fact(
  { name, children }: { readonly name: string; readonly children: ComponentChildren },
): JSX.Element {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function Claims({ link }: { readonly link: Link }): JSX.Element {
  const claims = claimsOf(link);
  return (
    <section aria-label={`What ${link.agent} claims`}>
      <h2>Claims, by the agent itself</h2>
      {differencesOf(link).map((text) => <p key={text} class="warning">{text}</p>)}
      {claims.length === 0 ? <p class="muted">Nothing</p> : (
        <dl>
          {claims.map(({ label, value }) => <Fact key={label} name={label}>{value}</Fact>)}
        </dl>
      )}
      <p class="muted">Shown to find it by. Nothing is decided by it.</p>
    </section>
  );
}

function Wall({ link }: { readonly link: Link }): JSX.Element {
  const { state, reportedAt } = link.wall;
  const { text, details } = wallWords(link);
  return (
    <section aria-label={`The wall of ${link.agent}`}>
      <h2>
        Wall <Badge word={state === "unknown" ? "question" : state} label={WALL_LABELS[state]} />
      </h2>
      <p>{text}</p>
      {details.length > 0 && (
        <ul>
          {details.map((line) => <li key={line}>{line}</li>)}
        </ul>
      )}
      {reportedAt !== undefined && (
        <p class="muted">
          The agent reported it {ago(Date.parse(reportedAt), nowMs.value)}, and does so each minute.
        </p>
      )}
    </section>
  );
}
