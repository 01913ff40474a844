/**
 * One request: what became of it, its heads, its bodies where they were recorded; and sending it once more.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { bytes, duration, moment } from "../core/format.ts";
import { setParams } from "../core/router.ts";
import { isOperator } from "../core/session.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { serviceLabel } from "./columns.ts";
import { Masked, Message } from "./message_view.tsx";
import { ReplayDialog } from "./replay_dialog.tsx";
import { statusWords } from "./request_facts.ts";
import type { RequestRecord } from "./traffic_types.ts";

/** What decides where no rule does. */
const DEFAULTS: Readonly<Record<string, string>> = {
  learned: "what was learned",
  learning: "the mode learn",
  closed: "no policy is loaded",
  implicit: "the mode of the group: it is neither learned nor ruled on",
};

export function RequestPanel({ id }: { readonly id: string }): JSX.Element {
  const [record, setRecord] = useState<RequestRecord>();
  const [fault, setFault] = useState("");
  const [isReplaying, setReplaying] = useState(false);
  useEffect(() => {
    const stopped = new AbortController();
    ask<RequestRecord>("GET", `/requests/${encodeURIComponent(id)}`, { signal: stopped.signal }).then(
      setRecord,
      (error) => {
        if (!stopped.signal.aborted) setFault(messageOf(error));
      },
    );
    return () => stopped.abort();
  }, [id]);
  return (
    <Dialog title="Request" isPanel isWide onClose={() => setParams({ request: undefined }, "push")}>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {record === undefined && fault === "" && <p aria-busy="true">Reading the request…</p>}
      {record !== undefined && <Content record={record} onReplay={() => setReplaying(true)} />}
      {record !== undefined && isReplaying && (
        <ReplayDialog
          record={record}
          onClose={() => setReplaying(false)}
        />
      )}
    </Dialog>
  );
}

interface ContentProps {
  readonly record: RequestRecord;
  readonly onReplay: () => void;
}

function Content({ record, onReplay }: ContentProps): JSX.Element {
  const { method, host, target, request, response, isCut, recorded } = record;
  const noBody = recorded === "head"
    ? "No body was recorded: record the service, then send it anew"
    : isOperator()
    ? "No body"
    : "Bodies are for operators";
  return (
    <div class="request">
      <p class="request-line mono">
        <b>{visible(method)}</b> <Masked value={`${host}${target}`} />
      </p>
      <Facts record={record} />
      <p>
        <button
          type="button"
          disabled={!isOperator()}
          title={isOperator() ? undefined : "Viewers cannot send requests: ask an operator"}
          onClick={onReplay}
        >
          <Icon name="play" /> Replay this request…
        </button>
      </p>
      {isCut && <p class="warning">Its heads were too long: fields are missing.</p>}
      <Message title="Request" fields={request.fields} body={request.body} noBody={noBody} />
      <Message title="Answer" fields={response.fields} body={response.body} noBody={noBody} />
    </div>
  );
}

function Facts({ record }: { readonly record: RequestRecord }): JSX.Element {
  const { status, service, agent, source, direction, atMs, ms, verdict, rule, failure, replayOf } = record;
  const { text, word } = statusWords(record);
  return (
    <dl class="request-facts">
      <Fact name="Answer">
        <Badge word={word} label={status === 0 ? "no answer" : text} /> after {duration(ms)}
      </Fact>
      {failure !== undefined && <Fact name="Failure">{visible(failure)}</Fact>}
      <Fact name="When">{moment(atMs)}</Fact>
      <Fact name="Service">
        {serviceLabel(service)}
        {agent !== undefined && <>, by agent {agent}</>}
      </Fact>
      <Fact name="From">{visible(source)} ({direction})</Fact>
      <Fact name="Verdict">
        {verdict === undefined ? "none: nothing was judged" : <Badge word={verdict} />}
        {rule !== undefined && (
          <>
            {" by "}
            <Rule id={rule} />
          </>
        )}
      </Fact>
      <Fact name="Bytes">{bytes(record.requestBytes)} in, {bytes(record.responseBytes)} out</Fact>
      <Fact name="Id">
        <code>{record.id}</code>
      </Fact>
      {replayOf !== undefined && (
        <Fact name="Repeats">
          <button type="button" class="opener" onClick={() => setParams({ request: replayOf }, "push")}>
            <code>{replayOf}</code>
          </button>
        </Fact>
      )}
    </dl>
  );
}

/** What is no rule of the policy is told in its place. */
function Rule({ id }: { readonly id: string }): JSX.Element {
  const words = Object.hasOwn(DEFAULTS, id) ? DEFAULTS[id] : undefined;
  if (words !== undefined) return <>{words}</>;
  return <ViewLink view="policy" params={{ rule: id }}>{visible(id)}</ViewLink>;
}

function Fact(
  { name, children }: { readonly name: string; readonly children: ComponentChildren },
): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
