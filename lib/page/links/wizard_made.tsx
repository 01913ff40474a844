/**
 * The second half of "Add an agent": what to paste, and whether the agent has come.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { edges, links, status } from "../core/state.ts";
import type { Link } from "../core/types.ts";
import { Badge } from "../ui/badge.tsx";
import { ViewLink } from "../ui/link.tsx";
import { type AgentPlan, blocksOf, gatewayNote, type Way, WAYS } from "./agent_lines.ts";
import { CopyBox } from "./copy_box.tsx";
import { TextField } from "./field.tsx";
import { linkKey, wallWords } from "./link_facts.ts";
import { firstCall } from "./reach.ts";

/** A token was made for it. */
export interface Made {
  /** Of the token. */
  readonly id: string;
  readonly plan: AgentPlan;
  /** The links that were there before: another of these names is none of this agent. */
  readonly before: ReadonlySet<string>;
}

export interface MadeStepProps {
  readonly made: Made;
  readonly onLinked: () => void;
  readonly onClose: () => void;
}

const WAY_LABELS: Readonly<Record<Way, string>> = {
  source: "From source",
  executable: "Executable",
  docker: "Docker",
  compose: "Compose",
  kubernetes: "Kubernetes",
  bunx: "bunx",
};

export function MadeStep({ made, onLinked, onClose }: MadeStepProps): JSX.Element {
  const { plan, before } = made;
  const [way, setWay] = useState<Way>(WAYS[0]);
  const [container, setContainer] = useState(plan.container);
  const link = links.value.find((each) => each.agent === plan.name && !before.has(linkKey(each)));
  const isLinked = link !== undefined;
  useEffect(() => {
    if (isLinked) onLinked();
  }, [isLinked]);
  const note = gatewayNote(plan.gateway, way);
  return (
    <>
      {!isLinked && (
        <>
          <div class="ways" role="group" aria-label="How the agent is started">
            {WAYS.map((each) => (
              <button
                key={each}
                type="button"
                aria-pressed={each === way}
                onClick={() => setWay(each)}
              >
                {WAY_LABELS[each]}
              </button>
            ))}
          </div>
          {(way === "docker" || way === "compose") && (
            <TextField
              label={way === "docker" ? "Container of the service" : "Service in compose.yaml"}
              hint="The agent joins its network, so that 127.0.0.1 is the same for both"
              value={container}
              onText={setContainer}
            />
          )}
          {note !== "" && <p class="warning">{note}</p>}
          {blocksOf(way, { ...plan, container }).map(({ title, text }) => (
            <CopyBox key={title} title={title} text={text} />
          ))}
          <p class="muted">{WAY_NOTES[way]}</p>
          <p class="warning">The token in it is shown this once, and kept nowhere.</p>
        </>
      )}
      <Waiting plan={plan} link={link} />
      <footer class="dialog-foot">
        <button type="button" class={isLinked ? "primary" : ""} onClick={onClose}>
          {isLinked ? "Done" : "Close"}
        </button>
      </footer>
    </>
  );
}

/** What a line leaves open. */
const SHELL_NOTE =
  "The leading space keeps the line out of the history of most shells. For good, put the token in a file " +
  "that only the agent can read, and give --token-file FILE in place of NETWALL_TOKEN.";
const WAY_NOTES: Readonly<Record<Way, string>> = {
  source: SHELL_NOTE,
  executable: SHELL_NOTE,
  docker:
    "The image netwall-agent is made by examples/docker/Dockerfile.agent. Who may ask this Docker engine " +
    "can read the token; a mounted file and --token-file keep it from them.",
  compose:
    "The image netwall-agent is made by examples/docker/Dockerfile.agent. examples/compose has the same " +
    "without any network.",
  kubernetes:
    "The image netwall-agent is made by examples/docker/Dockerfile.agent. examples/kubernetes has a " +
    "whole deployment with a NetworkPolicy.",
  bunx: `This takes the package netwall-agent from your registry: make sure that it is there. ${SHELL_NOTE}`,
};

function Waiting({ plan, link }: { readonly plan: AgentPlan; readonly link: Link | undefined }): JSX.Element {
  return (
    <div class="waiting card">
      <p role="status">
        {link === undefined
          ? (
            <>
              <span class="spinner" aria-hidden="true" /> Waiting for {plan.name}…
            </>
          )
          : (
            <>
              <Badge word="allow" label="linked" /> {plan.name} is linked.
            </>
          )}
      </p>
      {link === undefined
        ? (
          <p class="muted">
            It appears here within seconds of its start. If it does not, start it with{" "}
            <code>netwall-agent doctor</code> and the same settings: it tells what does not work from there.
          </p>
        )
        : <Linked plan={plan} link={link} />}
    </div>
  );
}

function Linked({ plan, link }: { readonly plan: AgentPlan; readonly link: Link }): JSX.Element {
  const { service } = plan;
  const { text, details } = wallWords(link);
  const { title, text: line, note } = firstCall(plan, status.value?.entry, location);
  const sinceMs = Date.parse(link.since);
  const isCalled = edges.value.values().some((edge) =>
    edge.service === service && edge.lastSeenMs >= sinceMs
  );
  return (
    <>
      {!link.services.includes(service) && (
        <p class="warning">It does not serve {service}, but {link.services.join(", ") || "nothing"}.</p>
      )}
      <p>
        Its wall:{" "}
        <Badge word={link.wall.state === "unknown" ? "question" : link.wall.state} label={link.wall.state} />
        {" "}
        {text} {details.slice(0, 3).join(", ")}
      </p>
      <CopyBox title={title} text={line} />
      {note !== "" && <p class="muted">{note}</p>}
      {isCalled
        ? (
          <p role="status">
            <Badge word="allow" label="called" /> Somebody has called it:{" "}
            <ViewLink view="map" params={{ group: link.group }}>see it on the map</ViewLink>
          </p>
        )
        : <p class="muted">Nobody has called it yet.</p>}
    </>
  );
}
