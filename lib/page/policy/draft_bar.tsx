/**
 * What stands above the tabs while something is drafted or staged: what it is, and what can be done with it.
 *
 * @module
 */
import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { plural } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import type { Applied } from "../core/types.ts";
import { showApplied } from "../ui/change_dialog.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { showToast } from "../ui/toast.tsx";
import { differenceLine, lineClass } from "./differences.ts";
import type { Draft } from "./draft.ts";
import { mergeOnto } from "./merge.ts";
import {
  changes,
  discardDraft,
  draft,
  edit,
  inForce,
  readPolicy,
  rebaseDraft,
  staged,
  undoStep,
} from "./policy_state.ts";
import { ReviewDialog } from "./review_dialog.tsx";

/** Changes that are told one by one. */
const TOLD_MAX = 50;

export function DraftBar(): JSX.Element | null {
  const [asked, setAsked] = useState<"review" | "stage" | "discard">();
  const now = draft.value;
  const close = (): void => setAsked(undefined);
  if (now === undefined) return null;
  const current = inForce.value?.version ?? now.base.version;
  return (
    <section class="card policy-bar" aria-label="Draft">
      <p role="status">
        <b>{plural(changes.value.length, "change")} not applied</b>, made from version {now.base.version}.
        {" "}
        {current !== now.base.version && <>Version {current} is in force by now: “Review” says what to do.</>}
      </p>
      <div class="toolbar">
        <button type="button" disabled={now.past.length === 0} onClick={undoStep}>
          <Icon name="undo" /> Undo last step
        </button>
        <button type="button" class="danger" onClick={() => setAsked("discard")}>Throw away</button>
        <button type="button" onClick={() => setAsked("stage")}>Stage…</button>
        <button type="button" class="primary" onClick={() => setAsked("review")}>Review…</button>
      </div>
      <details>
        <summary>What has changed</summary>
        <ul class="diff">
          {changes.value.slice(0, TOLD_MAX).map(differenceLine).map((line) => (
            <li key={line} class={lineClass(line)}>{line}</li>
          ))}
          {changes.value.length > TOLD_MAX && <li>and {changes.value.length - TOLD_MAX} more</li>}
        </ul>
      </details>
      {asked === "review" && <ReviewDraft draft={now} onClose={close} />}
      {asked === "stage" && <StageDialog draft={now} onClose={close} />}
      {asked === "discard" && <DiscardDialog onClose={close} />}
    </section>
  );
}

function ReviewDraft({ draft: now, onClose }: DialogProps): JSX.Element {
  const { base, document, conflicts } = now;
  const content = useMemo(() => ({ document }), [document]);
  const done = (applied: Applied, comment: string): void => {
    const title = comment === "" ? plural(changes.peek().length, "change") + " of the policy" : comment;
    showApplied({
      ...{ title, comment: title },
      make: (other) => mergeOnto(base.document, document, other).document,
      unmake: (other) => mergeOnto(document, base.document, other).document,
    }, applied);
    discardDraft();
    onClose();
    void readPolicy();
  };
  return (
    <ReviewDialog
      title={`Review ${plural(changes.value.length, "change")}`}
      {...{ content, conflicts, onClose }}
      base={base.version}
      onRebase={(current) => {
        rebaseDraft(current);
        if (draft.peek() === undefined) {
          showToast({
            text: "Version " + current.version + " says all of it already",
          });
        }
      }}
      onDiscard={() => {
        discardDraft();
        onClose();
        void readPolicy();
      }}
      onApplied={(applied, _outlook, comment) => done(applied, comment)}
    />
  );
}

interface DialogProps {
  readonly draft: Draft;
  readonly onClose: () => void;
}

function StageDialog({ draft: now, onClose }: DialogProps): JSX.Element {
  const [fault, setFault] = useState("");
  const stage = async (): Promise<void> => {
    try {
      await ask("PUT", "/policy/staged", { json: now.document });
      staged.value = now.document;
      showToast({
        text: "Staged: from now on its verdicts are shown as pending, and nothing is blocked by it",
      });
      onClose();
    } catch (error) {
      setFault(messageOf(error));
    }
  };
  return (
    <Dialog title="Stage the draft" onClose={onClose}>
      <p>
        The gateway judges every request by the staged policy too, and shows that verdict as <b>pending</b>
        {" "}
        beside the real one, on edges and in events. Nothing is blocked or let through by it.
      </p>
      <p>Look at it for as long as you like, then apply it. The draft stays here.</p>
      {staged.value && <p class="warning">! It takes the place of the policy that is staged now.</p>}
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="primary" onClick={() => void stage()}>Stage</button>
      </footer>
    </Dialog>
  );
}

function DiscardDialog({ onClose }: { readonly onClose: () => void }): JSX.Element {
  return (
    <Dialog title="Throw the draft away?" onClose={onClose}>
      <p>{plural(changes.value.length, "change")} will be gone. What is in force stays as it is.</p>
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Keep the draft</button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            discardDraft();
            onClose();
          }}
        >
          Throw away
        </button>
      </footer>
    </Dialog>
  );
}

/** Tells that a policy is staged. */
export function StagedBar(): JSX.Element | null {
  const [isAsked, setAsked] = useState(false);
  const now = staged.value;
  if (!now) return null;
  const unstage = async (): Promise<void> => {
    setAsked(false);
    try {
      await ask("DELETE", "/policy/staged");
      staged.value = null;
      showToast({ text: "No policy is staged any more" });
    } catch (error) {
      showToast({ kind: "fault", text: messageOf(error) });
    }
  };
  return (
    <section class="card policy-bar" aria-label="Staged policy">
      <p>
        <b>A policy is staged.</b> Its verdicts are shown as pending; nothing is blocked by it.
      </p>
      {isOperator() && (
        <div class="toolbar">
          <button type="button" onClick={() => setAsked(true)}>Take away…</button>
          <button
            type="button"
            disabled={draft.value !== undefined}
            title={draft.value === undefined ? undefined : "Apply the draft first, or throw it away"}
            onClick={() => edit((document) => ({ ...document, spec: { ...document.spec, ...now.spec } }))}
          >
            Take as draft
          </button>
        </div>
      )}
      {isAsked && (
        <Dialog title="Take the staged policy away?" onClose={() => setAsked(false)}>
          <p>Its pending verdicts are not shown any more. What is in force stays as it is.</p>
          <footer class="dialog-foot">
            <button type="button" onClick={() => setAsked(false)}>Cancel</button>
            <button type="button" class="danger" onClick={() => void unstage()}>Take away</button>
          </footer>
        </Dialog>
      )}
    </section>
  );
}
