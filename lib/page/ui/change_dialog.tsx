/**
 * Shows what a change would do before it is made, makes it, and offers the way back.
 *
 * @module
 */
import type { JSX } from "preact";
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { ApiError, ask, messageOf } from "../core/api.ts";
import { afterWords, type Change, isBlocking } from "../core/change.ts";
import { count, plural } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import type { Applied, PolicyDocument, PolicyVersion, SimulationReport } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "./badge.tsx";
import { Dialog } from "./dialog.tsx";
import { showToast } from "./toast.tsx";

/** What is shown of a long list; the rest is counted. */
const SHOWN_MAX = 20;

const proposed = signal<Change | undefined>(undefined);

/** Opens the dialog. */
export function propose(change: Change): void {
  proposed.value = change;
}

/** What the gateway says about a document that is not in force. */
export interface Forecast {
  readonly version: number;
  readonly document: PolicyDocument;
  readonly lines: readonly string[];
  readonly warnings: readonly string[];
  readonly simulation: SimulationReport;
}

/** Asks what a change would do to the policy that is in force now. @throws {ApiError} */
export async function forecast(make: (document: PolicyDocument) => PolicyDocument): Promise<Forecast> {
  const { version, document: before } = await ask<PolicyVersion>("GET", "/policy");
  const document = make(before);
  const [difference, simulation] = await Promise.all([
    ask<{ lines: string[]; warnings: string[] }>("POST", "/policy/diff", { json: document }),
    ask<SimulationReport>("POST", "/policy/simulate", { json: document }),
  ]);
  return { version, document, simulation, ...difference };
}

/**
 * Applies a change to the policy as it is now.
 *
 * @param expected The version that the user has seen. @throws {ApiError} 412 when it is another by now.
 */
export async function apply(document: PolicyDocument, expected: number, comment: string): Promise<Applied> {
  return await ask<Applied>("PUT", "/policy", {
    json: document,
    query: { comment: comment.slice(0, 500) },
    headers: { "If-Match": `"${expected}"` },
  });
}

/** Tells that a change was made, and offers to take it back. */
export function showApplied(change: Change, { cut, warnings }: Applied): void {
  const cutText = cut > 0 ? ` ${plural(cut, "open stream")} ${cut === 1 ? "was" : "were"} cut.` : "";
  const parts = [`${change.title}: done.${cutText}`, afterWords(change), warnings.join(". ")];
  const text = parts.filter((part) => part !== "").join(" ");
  showToast({ text, action: { label: "Undo", run: () => void undo(change) } });
}

async function undo(change: Change): Promise<void> {
  try {
    const { version, document } = await ask<PolicyVersion>("GET", "/policy");
    await apply(change.unmake(document), version, `Undo: ${change.comment}`);
    showToast({ text: `Undone: ${change.title}` });
  } catch (error) {
    showToast({ kind: "fault", text: `Cannot undo: ${messageOf(error)}` });
  }
}

/** The dialog, when something is proposed. Stands once in the page. */
export function ChangeDialog(): JSX.Element | null {
  const change = proposed.value;
  return change === undefined ? null : <Proposal key={change.title} change={change} />;
}

function Proposal({ change }: { readonly change: Change }): JSX.Element {
  const [expected, setExpected] = useState<Forecast>();
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const close = (): void => {
    proposed.value = undefined;
  };
  const look = (): void => {
    setExpected(undefined);
    forecast((document) => change.make(document)).then(setExpected, (error) => setFault(messageOf(error)));
  };
  useEffect(look, [change]);
  const make = async (): Promise<void> => {
    if (expected === undefined) return;
    setBusy(true);
    try {
      const applied = await apply(expected.document, expected.version, change.comment);
      close();
      showApplied(change, applied);
    } catch (error) {
      setBusy(false);
      setFault(messageOf(error));
      if (error instanceof ApiError && error.status === 412) look();
    }
  };
  return (
    <Dialog title={change.title} onClose={close}>
      {change.words !== undefined && <p>{change.words}</p>}
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {expected === undefined && fault === "" && <p aria-busy="true">Asking the gateway what it would do…</p>}
      {expected && <ForecastView forecast={expected} effect={change.effect} />}
      <footer class="dialog-foot">
        <button type="button" onClick={close}>Cancel</button>
        <button
          type="button"
          class="primary"
          disabled={expected === undefined || isBusy || expected.lines.length === 0 || !isOperator()}
          onClick={() => void make()}
        >
          {isBusy ? "Applying…" : "Apply"}
        </button>
      </footer>
    </Dialog>
  );
}

export interface ForecastViewProps {
  readonly forecast: Forecast;
  /** What the change is for, where that is one thing. */
  readonly effect?: Change["effect"];
}

/** What a document would change: in the policy, and to the traffic that is known. */
export function ForecastView({ forecast, effect }: ForecastViewProps): JSX.Element {
  const { lines, warnings, simulation } = forecast;
  const { judged, droppedNow, droppedThen, changes } = simulation;
  return (
    <div class="forecast">
      {lines.length === 0 && <p>Nothing would change: the policy says this already.</p>}
      {lines.length > 0 && (
        <>
          <h3>In the policy</h3>
          <ul class="diff">
            {lines.slice(0, SHOWN_MAX).map((line) => (
              <li key={line} class={diffClass(line)}>{visible(line)}</li>
            ))}
            {lines.length > SHOWN_MAX && <li>and {count(lines.length - SHOWN_MAX)} more</li>}
          </ul>
        </>
      )}
      {warnings.map((warning) => <p key={warning} class="warning">! {visible(warning)}</p>)}
      <h3>To the traffic of the last seven days</h3>
      {judged === 0 ? <p>No traffic is stored yet, so nobody can tell what it would do to it.</p> : (
        <p>
          Of {plural(judged, "request or connection", "requests and connections")}, {count(droppedThen)}{" "}
          would be refused; as of now it is {count(droppedNow)}.
          {changes.length === 0 && " None would be judged otherwise."}
        </p>
      )}
      {changes.length > 0 && <SimulatedChanges changes={changes} />}
      {lines.length > 0 && isBlocking(effect === undefined ? {} : { effect }, simulation) && (
        <p>Open connections that it refuses are cut at once.</p>
      )}
    </div>
  );
}

function SimulatedChanges({ changes }: Pick<SimulationReport, "changes">): JSX.Element {
  return (
    <ul class="simulated">
      {changes.slice(0, SHOWN_MAX).map((change) => (
        <li key={`${change.source}>${change.destination}:${change.fromRule}:${change.toRule}`}>
          <p>
            <b>{count(change.count)}×</b> {change.source} → {change.destination}: <Badge word={change.from} />
            {" "}
            → <Badge word={change.to} /> <span class="muted">by {change.toRule}</span>
          </p>
          <p class="examples">{visible(change.examples.join(", "))}</p>
        </li>
      ))}
      {changes.length > SHOWN_MAX && <li>and {count(changes.length - SHOWN_MAX)} more</li>}
    </ul>
  );
}

function diffClass(line: string): string {
  const sign = line.trimStart()[0];
  return sign === "+" ? "added" : sign === "-" ? "removed" : "";
}
