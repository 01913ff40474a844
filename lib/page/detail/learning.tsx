/**
 * How far a group has come with learning, and how it begins anew.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { ago, count, plural } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import { nowMs } from "../core/state.ts";
import type { Applied, GroupView, PolicyVersion } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { showToast } from "../ui/toast.tsx";
import { VIEWER_WORDS } from "./edge_buttons.tsx";

export function Learning({ group }: { readonly group: GroupView }): JSX.Element {
  const [isAsking, setAsking] = useState(false);
  const title = isOperator() ? undefined : VIEWER_WORDS;
  return (
    <section>
      <h3>Learning</h3>
      {group.learning.length === 0 && <p class="muted">Nothing was learned from yet.</p>}
      <ul class="learning">
        {group.learning.map((progress) => <Progress key={progress.direction} progress={progress} />)}
      </ul>
      <button
        type="button"
        class="danger"
        disabled={!isOperator()}
        title={title}
        onClick={() => setAsking(true)}
      >
        <Icon name="undo" /> Learn anew…
      </button>
      {isAsking && <RelearnDialog group={group.id} onClose={() => setAsking(false)} />}
    </section>
  );
}

function Progress({ progress }: { readonly progress: GroupView["learning"][number] }): JSX.Element {
  const { direction, state, reasons, samples, edges, routes, lastNewMs } = progress;
  return (
    <li>
      <p>
        {direction} <Badge word={state} /> {plural(samples, "sample")}, {plural(edges, "edge")},{" "}
        {plural(routes, "route")}
        {lastNewMs > 0 && <span class="muted">, something new {ago(lastNewMs, nowMs.value)}</span>}
      </p>
      {reasons.length > 0 && (
        <p class="muted">{state === "learning" ? "It wants more: " : ""}{reasons.join("; ")}</p>
      )}
    </li>
  );
}

interface RelearnProps {
  readonly group: string;
  readonly onClose: () => void;
}

function RelearnDialog({ group, onClose }: RelearnProps): JSX.Element {
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const run = async (work: () => Promise<void>): Promise<void> => {
    setBusy(true);
    setFault("");
    try {
      await work();
    } catch (error) {
      setFault(messageOf(error));
    }
    setBusy(false);
  };
  const relearn = async (): Promise<void> => {
    const { version: before } = await ask<PolicyVersion>("GET", "/policy");
    const { version, cut, warnings } = await ask<Applied>("POST", "/groups/relearn", { json: { group } });
    const cutText = cut > 0 ? ` ${count(cut)} open streams were cut.` : "";
    showToast({
      text: `${visible(group)} learns anew.${cutText} ${warnings.join(". ")}`.trim(),
      action: { label: "Undo", run: () => void undo(before, version) },
    });
    onClose();
  };
  const undo = async (before: number, made: number): Promise<void> => {
    try {
      const headers = { "If-Match": `"${made}"` };
      await ask<Applied>("POST", `/policy/versions/${before}/rollback`, { headers });
      showToast({ text: `${visible(group)} knows again what it had learned` });
    } catch (error) {
      showToast({ kind: "fault", text: `Cannot undo: ${messageOf(error)}` });
    }
  };
  return (
    <Dialog title={`Forget what ${visible(group)} has learned?`} onClose={onClose}>
      <p>
        All that was learned of it is forgotten, and it goes to the mode learn in all directions: what comes
        is let through and learned, until the model is stable again.
      </p>
      <p>It can be undone: a rollback of the policy brings back what was learned until now.</p>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="danger" disabled={isBusy} onClick={() => void run(relearn)}>
          Forget and learn anew
        </button>
      </footer>
    </Dialog>
  );
}
