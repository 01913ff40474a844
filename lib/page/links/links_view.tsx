/**
 * The agents that are linked now, the tokens that let them in, and how to add one.
 *
 * @module
 */
import type { JSX } from "preact";
import { place, setParams } from "../core/router.ts";
import { isOperator } from "../core/session.ts";
import { goneLinks, links, status } from "../core/state.ts";
import { visible } from "../core/visible.ts";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { brokenText, selectGone, selectLinks, summaryOf, WALL_STATES } from "./link_facts.ts";
import { LinkTable } from "./link_table.tsx";
import { ListBar } from "./list_bar.tsx";
import { TokensView } from "./tokens_view.tsx";
import { Wizard } from "./wizard.tsx";

/** Longer than any name of an agent. */
const AGENT_CHARS_MAX = 256;

export function LinksView(): JSX.Element {
  const { params } = place.value;
  const isTokens = params.get("tab") === "tokens";
  // So that other views and people can link to it.
  const isAdding = params.get("add") === "agent" && isOperator();
  return (
    <div class="links">
      <div class="links-head">
        <nav class="subtabs" aria-label="Links and tokens">
          <ViewLink view="links" current={!isTokens}>Agents</ViewLink>
          <ViewLink view="links" params={{ tab: "tokens" }} current={isTokens}>Tokens</ViewLink>
        </nav>
        <AddButton />
      </div>
      {isTokens ? <TokensView /> : <Agents />}
      {isAdding && <Wizard onClose={() => setParams({ add: undefined })} />}
    </div>
  );
}

function AddButton(): JSX.Element {
  return (
    <button
      type="button"
      class="primary"
      disabled={!isOperator()}
      title={isOperator() ? undefined : "Viewers cannot make tokens: ask an operator"}
      onClick={() => setParams({ add: "agent" }, "push")}
    >
      <Icon name="plus" /> Add an agent
    </button>
  );
}

function Agents(): JSX.Element {
  const { params } = place.value;
  const all = links.value;
  if (status.value === undefined) return <p aria-busy="true">Reading who is linked…</p>;
  const isGone = goneLinks.value.length > 0;
  if (all.length === 0 && !isGone) return <NoAgents />;
  const text = params.get("q") ?? "";
  const wall = WALL_STATES.find((state) => state === params.get("wall"));
  const shown = selectLinks(all, { text, wall });
  const gone = selectGone(goneLinks.value, { text, wall });
  const broken = brokenText(all);
  return (
    <>
      <p class="summary">{summaryOf(all)}</p>
      {broken !== "" && <p class="warning">{broken}</p>}
      <ListBar
        text={text}
        placeholder="agent, service, image, container"
        label="Wall"
        param="wall"
        states={WALL_STATES}
        chosen={wall}
      />
      <NotLinked />
      {shown.length === 0 && gone.length === 0
        ? (
          <Empty title="No agent is like that">
            <button type="button" onClick={() => setParams({ q: undefined, wall: undefined }, "push")}>
              Show all
            </button>
          </Empty>
        )
        : <LinkTable links={shown} gone={gone} all={all.length} />}
    </>
  );
}

/** Whoever followed a link to an agent must learn that it is not there. */
function NotLinked(): JSX.Element | null {
  const agent = place.value.params.get("open") ?? "";
  const isThere = links.value.some((link) => link.agent === agent) ||
    goneLinks.value.some(({ link }) => link.agent === agent);
  if (agent === "" || isThere) return null;
  return (
    <p class="muted not-linked">
      The agent <b>{visible(agent.slice(0, AGENT_CHARS_MAX))}</b> is not linked now.
    </p>
  );
}

function NoAgents(): JSX.Element {
  return (
    <Empty title="No agent is linked yet">
      <p>
        An agent runs beside a service and dials out to this gateway: that one socket is how visitors come in.
        Nothing else has to be open.
      </p>
      {isOperator() ? <AddButton /> : <p>You are logged in as a viewer: ask an operator to add one.</p>}
    </Empty>
  );
}
