/**
 * Sends a request once more: asks first, then shows both answers and how they differ.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { duration } from "../core/format.ts";
import { setParams } from "../core/router.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { serviceLabel } from "./columns.ts";
import { Masked, Message } from "./message_view.tsx";
import { replayWarning, statusWords } from "./request_facts.ts";
import type { ReplayedAnswer, ReplayReport, RequestRecord } from "./traffic_types.ts";

export interface ReplayDialogProps {
  readonly record: RequestRecord;
  readonly onClose: () => void;
}

export function ReplayDialog({ record, onClose }: ReplayDialogProps): JSX.Element {
  const [report, setReport] = useState<ReplayReport>();
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const send = async (): Promise<void> => {
    setBusy(true);
    setFault("");
    try {
      setReport(await ask<ReplayReport>("POST", `/requests/${encodeURIComponent(record.id)}/replay`));
    } catch (error) {
      setFault(messageOf(error));
    }
    setBusy(false);
  };
  return (
    <Dialog title={report === undefined ? "Replay this request" : "Replayed"} isWide onClose={onClose}>
      {report === undefined ? <Question record={record} /> : <Report report={report} />}
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      <footer class="dialog-foot">
        {report?.id !== undefined && (
          <button
            type="button"
            onClick={() => setParams({ request: report.id }, "push")}
          >
            Open the new request
          </button>
        )}
        <button type="button" onClick={onClose}>{report === undefined ? "Cancel" : "Close"}</button>
        {report === undefined && (
          <button
            type="button"
            class="primary"
            disabled={isBusy}
            onClick={() => void send()}
          >
            {isBusy ? "Waiting for the answer…" : "Send it again"}
          </button>
        )}
      </footer>
    </Dialog>
  );
}

function Question({ record }: { readonly record: RequestRecord }): JSX.Element {
  const { method, host, target, service, source } = record;
  const warning = replayWarning(record);
  return (
    <>
      <p class="request-line mono">
        <b>{visible(method)}</b> <Masked value={`${host}${target}`} />
      </p>
      <p>
        It is sent to {serviceLabel(service)} once more, really, as from{" "}
        {visible(source)}. The policy of now judges it. What was masked and not recorded is left out.
      </p>
      {warning !== "" && <p class="warning">{visible(warning)}</p>}
    </>
  );
}

function Report({ report }: { readonly report: ReplayReport }): JSX.Element {
  const { original, answer, omitted, differences } = report;
  return (
    <>
      <p role="status">
        {differences.length === 0
          ? "Both answers are the same, but for what every answer has anew."
          : `The answers differ in ${differences.map(({ part }) => visible(part)).slice(0, 5).join(", ")}.`}
      </p>
      {omitted.length > 0 && (
        <p class="warning">
          Left out, as their values were not recorded: {omitted.map(visible).join(", ")}.
        </p>
      )}
      {differences.length > 0 && <Differences differences={differences} />}
      <div class="answers">
        <Answer title="Original" answer={original} />
        <Answer title="Now" answer={answer} />
      </div>
    </>
  );
}

function Differences({ differences }: Pick<ReplayReport, "differences">): JSX.Element {
  return (
    <div class="table-frame">
      <table>
        <caption>Differences</caption>
        <thead>
          <tr>
            <th scope="col">Part</th>
            <th scope="col">Original</th>
            <th scope="col">Now</th>
          </tr>
        </thead>
        <tbody>
          {differences.map(({ part, before, after }, index) => (
            <tr key={index}>
              <th scope="row">{visible(part)}</th>
              <td class="long mono">
                {before === "" ? <span class="muted">–</span> : <Masked value={before} />}
              </td>
              <td class="long mono">
                {after === "" ? <span class="muted">–</span> : <Masked value={after} />}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Answer({ title, answer }: { readonly title: string; readonly answer: ReplayedAnswer }): JSX.Element {
  const { status, ms, fields, body } = answer;
  const { text, word } = statusWords({ status });
  return (
    <div>
      <p>
        <b>{title}</b>: <Badge word={word} label={text} /> after {duration(ms)}
      </p>
      <Message
        title={`${title}: fields and body`}
        fields={fields}
        body={body}
        noBody="No body, or none recorded"
      />
    </div>
  );
}
