/**
 * The last look before a policy comes into force: what it changes, what it would have done to known traffic, and why.
 *
 * @module
 */
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ApiError, messageOf } from "../core/api.ts";
import { moment } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import type { Applied, PolicyVersion } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { ForecastView } from "../ui/change_dialog.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Field } from "./form.tsx";
import { type Content, look, type Outlook, putInForce } from "./review.ts";

export interface ReviewProps {
  readonly title: string;
  readonly content: Content;
  /** The version that it was made from. */
  readonly base: number;
  /** Where both sides had changed the same; a sentence each. */
  readonly conflicts?: readonly string[];
  /** Puts the changes on top of the version that is in force by now. */
  readonly onRebase: (current: PolicyVersion) => void;
  /** What `onRebase` does, in words. */
  readonly rebaseLabel?: string;
  /** Throws the changes away; without it there is nothing to throw away. */
  readonly onDiscard?: ((current: PolicyVersion) => void) | undefined;
  readonly onApplied: (applied: Applied, outlook: Outlook, comment: string) => void;
  readonly onClose: () => void;
  readonly children?: ComponentChildren;
}

export function ReviewDialog(props: ReviewProps): JSX.Element {
  const { title, content, base, onClose } = props;
  const [outlook, setOutlook] = useState<Outlook>();
  const [fault, setFault] = useState<unknown>();
  const [comment, setComment] = useState("");
  const [isBusy, setBusy] = useState(false);
  const ask = (): void => {
    setOutlook(undefined);
    setFault(undefined);
    look(content, base).then(setOutlook, setFault);
  };
  useEffect(ask, [content, base]);
  const forecast = outlook?.forecast;
  const apply = async (): Promise<void> => {
    if (outlook === undefined) return;
    setBusy(true);
    try {
      props.onApplied(await putInForce(content, base, comment.trim()), outlook, comment.trim());
    } catch (error) {
      setFault(error);
      // Another version came in between: then that is told, with what can be done.
      if (error instanceof ApiError && error.status === 412) ask();
    }
    setBusy(false);
  };
  return (
    <Dialog title={title} onClose={onClose} isWide>
      {props.children}
      {fault !== undefined && <Faults error={fault} />}
      {outlook === undefined && fault === undefined && (
        <p aria-busy="true">Asking the gateway what it would do…</p>
      )}
      {outlook !== undefined && forecast === undefined && <Overtaken {...props} current={outlook.current} />}
      {(props.conflicts ?? []).map((text) => <p key={text} class="warning">! {text}</p>)}
      {forecast && <ForecastView forecast={forecast} />}
      {forecast && !("rollbackTo" in content) && (
        <Field label="Comment" value={comment} onChange={setComment} hint="Why, for the list of versions" />
      )}
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button
          type="button"
          class="primary"
          disabled={forecast === undefined || forecast.lines.length === 0 || isBusy || !isOperator()}
          onClick={() => void apply()}
        >
          {isBusy ? "Applying…" : "Apply"}
        </button>
      </footer>
    </Dialog>
  );
}

function Overtaken(
  { base, current, onRebase, onDiscard, rebaseLabel = "Put my changes on top" }: ReviewProps & {
    readonly current: PolicyVersion;
  },
): JSX.Element {
  return (
    <div class="warning" role="alert">
      <p>
        Version {current.version} is in force by now: {current.by} made it at {moment(current.atMs)}
        {current.comment !== "" && <>, saying “{visible(current.comment)}”</>}. This was made from version
        {" "}
        {base}.
      </p>
      <p class="toolbar">
        <button type="button" onClick={() => onRebase(current)}>{rebaseLabel}</button>
        {onDiscard && (
          <button type="button" class="danger" onClick={() => onDiscard(current)}>
            Throw my changes away
          </button>
        )}
      </p>
    </div>
  );
}

/** What the gateway refuses, place by place. */
export function Faults({ error }: { readonly error: unknown }): JSX.Element {
  const errors = error instanceof ApiError ? error.errors : [];
  if (errors.length === 0) return <p class="fault" role="alert">{messageOf(error)}</p>;
  return (
    <div role="alert">
      <p class="fault">{(error as ApiError).message}</p>
      <ul class="policy-faults">
        {errors.map(({ path, message }) => (
          <li key={`${path}:${message}`}>
            {path !== "" && <code>{path}</code>} {message}
          </li>
        ))}
      </ul>
    </div>
  );
}
