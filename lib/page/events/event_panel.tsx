/**
 * One event, whole: what it says, what it is about, and what can be done about it.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { isOperator } from "../core/session.ts";
import { edges, events } from "../core/state.ts";
import type { NetwallEvent } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Fact } from "../detail/fact.tsx";
import { SidePanel } from "../detail/side_panel.tsx";
import { Badge } from "../ui/badge.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { showToast } from "../ui/toast.tsx";
import { edgeOfEvent, type EventFact, sectionsOf } from "./event_facts.ts";
import { chooseFilter } from "./filter_bar.tsx";
import { FILTER_WORDS } from "./filters.ts";
import { endsOf, isBlurred } from "./rule_form.ts";
import { proposeRule, RuleDialog } from "./rule_dialog.tsx";
import { shortId, TYPE_WORDS } from "./words.ts";

export interface EventPanelProps {
  readonly id: string;
  /** From the table, when it is there. */
  readonly known: NetwallEvent | undefined;
  readonly onClose: () => void;
}

export function EventPanel({ id, known, onClose }: EventPanelProps): JSX.Element {
  const [read, setRead] = useState<NetwallEvent>();
  const [fault, setFault] = useState("");
  // Of several that are known the latest holds: equal events are added to it.
  const event = [events.value.get(id), known, read?.id === id ? read : undefined]
    .reduce(
      (best, each) => each !== undefined && (best === undefined || each.seq > best.seq) ? each : best,
      undefined,
    );
  useEffect(() => {
    setFault("");
    if (event !== undefined) return;
    const stopped = new AbortController();
    ask<NetwallEvent>("GET", `/events/${encodeURIComponent(id)}`, { signal: stopped.signal })
      .then(setRead, (error) => !stopped.signal.aborted && setFault(messageOf(error)));
    return () => stopped.abort();
  }, [id]);
  return (
    <SidePanel
      title={event === undefined ? `Event ${shortId(visible(id))}` : TYPE_WORDS[event.type]}
      onClose={onClose}
    >
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {event === undefined && fault === "" && <p aria-busy="true">Reading the event…</p>}
      {event && <Whole event={event} />}
    </SidePanel>
  );
}

function Whole({ event }: { readonly event: NetwallEvent }): JSX.Element {
  return (
    <>
      <p class="event-words">
        <Badge word={event.effect} /> <Badge word={event.severity} /> {visible(event.message)}
      </p>
      <Buttons event={event} />
      <Places event={event} />
      {sectionsOf(event).map(({ title, facts }) => (
        <section key={title}>
          <h3>{title}</h3>
          <dl class="facts">
            {facts.map((fact) => <OneFact key={`${fact.words}:${fact.value}`} fact={fact} />)}
          </dl>
        </section>
      ))}
      <Raw event={event} />
    </>
  );
}

function OneFact({ fact: { words, value, filter, agent } }: { readonly fact: EventFact }): JSX.Element {
  return (
    <Fact words={words}>
      {agent === undefined
        ? <span>{value}</span>
        : (
          <ViewLink view="links" params={{ open: agent }} title="Show this agent under Links">
            {value}
          </ViewLink>
        )}
      {filter && (
        <button
          type="button"
          class="quiet fact-filter"
          aria-label={`Filter by this: ${FILTER_WORDS[filter.name]} ${value}`}
          title="Filter by this value"
          onClick={() => chooseFilter(filter.name, filter.value)}
        >
          <Icon name="filter" size={13} />
        </button>
      )}
    </Fact>
  );
}

function Buttons({ event }: { readonly event: NetwallEvent }): JSX.Element {
  const [isOpen, setOpen] = useState(false);
  const [isBusy, setBusy] = useState(false);
  const isTraffic = endsOf(event) !== undefined;
  const why = !isOperator()
    ? "This needs the role operator: yours is viewer"
    : isTraffic
    ? undefined
    : "This event is of no traffic that a rule could be about";
  const decide = async (effect: "allow" | "prevent"): Promise<void> => {
    // Not by taking the buttons away meanwhile: the focus would be lost, and has to come back to them.
    if (isBusy) return;
    setBusy(true);
    try {
      await proposeRule(event, effect);
    } catch (error) {
      showToast({ kind: "fault", text: messageOf(error) });
    }
    setBusy(false);
  };
  const isDisabled = why !== undefined || isBlurred(event);
  const title = why ??
    (isBlurred(event) ? "This event stands for many requests that differ: make a rule of it" : undefined);
  return (
    <p class="toolbar">
      <button type="button" disabled={isDisabled} title={title} onClick={() => void decide("allow")}>
        <Icon name="check" /> Allow…
      </button>
      <button
        type="button"
        class="danger"
        disabled={isDisabled}
        title={title}
        onClick={() => void decide("prevent")}
      >
        <Icon name="cross" /> Block…
      </button>
      <button type="button" disabled={why !== undefined} title={why} onClick={() => setOpen(true)}>
        <Icon name="plus" /> Make a rule of this…
      </button>
      {isOpen && <RuleDialog event={event} onClose={() => setOpen(false)} />}
    </p>
  );
}

/** Where else it is to be seen. */
function Places({ event }: { readonly event: NetwallEvent }): JSX.Element | null {
  const edge = edgeOfEvent(event, edges.value.values());
  const { source, destination, rule } = event;
  const groups = [source, destination].flatMap((end) => end?.kind === "workload" ? [end.name] : []);
  const ruleId = rule.kind === "rule" ? rule.id : undefined;
  if (edge === undefined && groups.length === 0 && ruleId === undefined) return null;
  return (
    <ul class="places">
      {edge && (
        <li>
          <ViewLink view="map" params={{ edge: edge.id }}>The edge on the map</ViewLink>
        </li>
      )}
      {[...new Set(groups)].map((group) => (
        <li key={group}>
          <ViewLink view="map" params={{ group }}>{visible(group)}</ViewLink>
        </li>
      ))}
      {ruleId !== undefined && (
        <li>
          <ViewLink view="policy" params={{ rule: ruleId }}>The rule {visible(ruleId)}</ViewLink>
        </li>
      )}
    </ul>
  );
}

function Raw({ event }: { readonly event: NetwallEvent }): JSX.Element {
  const text = JSON.stringify(event, null, 2).split("\n").map(visible).join("\n");
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(JSON.stringify(event, null, 2));
      showToast({ text: "Copied" });
    } catch {
      showToast({
        kind: "fault",
        text: "The browser does not let the page copy: select the text and copy it",
      });
    }
  };
  return (
    <details>
      <summary>As JSON</summary>
      <button type="button" onClick={() => void copy()}>
        <Icon name="copy" /> Copy
      </button>
      <pre class="event-json" tabIndex={0}>{text}</pre>
    </details>
  );
}
