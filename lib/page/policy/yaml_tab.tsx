/**
 * The whole policy as YAML: read, edited, taken from a file and to a file.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ApiError, messageOf, respond } from "../core/api.ts";
import { isOperator } from "../core/session.ts";
import type { Applied, PolicyVersion } from "../core/types.ts";
import { Icon } from "../ui/icon.tsx";
import { showToast } from "../ui/toast.tsx";
import { draft, inForce, isTextChanged, readPolicy, setText, textDraft } from "./policy_state.ts";
import { applyYaml, look, type Outlook, readYaml } from "./review.ts";
import { ReviewDialog } from "./review_dialog.tsx";
import { mergeText } from "./text_merge.ts";
import { TextEditor } from "./text_editor.tsx";

/** The gateway takes no longer text here. */
const TEXT_CHARS_MAX = 1 << 20;

type Faults = ApiError["errors"];

export function YamlTab(): JSX.Element {
  const [fault, setFault] = useState("");
  const [errors, setErrors] = useState<Faults>([]);
  const [isReviewed, setReviewed] = useState(false);
  const now = textDraft.value;
  const version = inForce.value?.version;
  const load = (hasModel: boolean): void => {
    const before = textDraft.peek();
    readYaml(hasModel).then(({ version, text }) => {
      // What was typed while it was read is not overwritten.
      if (isTextChanged.peek() && textDraft.peek() !== before) return;
      setText({ version, base: text, text, hasModel });
      setFault("");
      setErrors([]);
    }, (error) => setFault(messageOf(error)));
  };
  useEffect(() => {
    // A text that nobody has touched follows the policy.
    if (version !== undefined && !isTextChanged.peek()) load(textDraft.peek()?.hasModel ?? false);
  }, [version]);
  const review = async (): Promise<void> => {
    setFault("");
    setErrors([]);
    try {
      await look({ yaml: now!.text, hasModel: now!.hasModel }, now!.version);
      setReviewed(true);
    } catch (error) {
      setFault(error instanceof ApiError && error.errors.length > 0 ? error.message : messageOf(error));
      setErrors(error instanceof ApiError ? error.errors : []);
    }
  };
  return (
    <section aria-label="YAML">
      <Tools {...{ load, setFault }} onReview={() => void review()} />
      {draft.value !== undefined && (
        <p class="warning">
          The draft of the other tabs is not in this text: apply it first, or throw it away.
        </p>
      )}
      {now?.hasModel && (
        <p class="warning">
          With the learned model: applied, it takes the place of all that the gateway has learned. Without it,
          what was learned stays.
        </p>
      )}
      {now === undefined && fault === "" && <p aria-busy="true">Reading the policy…</p>}
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {now !== undefined && (
        <TextEditor
          text={now.text}
          errors={errors}
          isReadOnly={!isOperator()}
          onInput={(text) => setText({ ...now, text })}
        />
      )}
      {isReviewed && now !== undefined && <ReviewText onClose={() => setReviewed(false)} reload={load} />}
    </section>
  );
}

interface ToolsProps {
  readonly load: (hasModel: boolean) => void;
  readonly setFault: (text: string) => void;
  readonly onReview: () => void;
}

function Tools({ load, setFault, onReview }: ToolsProps): JSX.Element {
  const file = useRef<HTMLInputElement>(null);
  const now = textDraft.value;
  const isChanged = isTextChanged.value;
  const take = async (from: HTMLInputElement): Promise<void> => {
    const chosen = from.files?.[0];
    // The same file can be chosen again.
    from.value = "";
    if (chosen === undefined || now === undefined) return;
    if (chosen.size > TEXT_CHARS_MAX) {
      return setFault("The file is larger than 1 MiB: use netwall-gateway policy apply");
    }
    const text = await chosen.text();
    setFault("");
    setText({ ...now, text, hasModel: now.hasModel || /^model:/m.test(text) });
  };
  return (
    <div class="toolbar policy-tools">
      <label class="inline">
        <input
          type="checkbox"
          checked={now?.hasModel ?? false}
          disabled={isChanged || now === undefined}
          title={isChanged ? "Apply what you have changed first, or throw it away" : undefined}
          onChange={(event) => load(event.currentTarget.checked)}
        />
        With the learned model
      </label>
      <button type="button" onClick={() => void download(now?.hasModel ?? false, setFault)}>
        <Icon name="download" /> Download what is in force
      </button>
      {isOperator() && (
        <>
          <input
            ref={file}
            type="file"
            class="hidden"
            accept=".yaml,.yml,.json"
            tabIndex={-1}
            aria-label="Policy file"
            onChange={(event) => void take(event.currentTarget)}
          />
          <button type="button" disabled={now === undefined} onClick={() => file.current?.click()}>
            Take from a file…
          </button>
          <button
            type="button"
            class="danger"
            disabled={!isChanged}
            onClick={() => load(now?.hasModel ?? false)}
          >
            Throw changes away
          </button>
          <button type="button" class="primary" disabled={!isChanged} onClick={onReview}>Review…</button>
        </>
      )}
    </div>
  );
}

async function download(hasModel: boolean, setFault: (text: string) => void): Promise<void> {
  try {
    const response = await respond("GET", "/policy.yaml", { query: { model: String(hasModel) } });
    const address = URL.createObjectURL(await response.blob());
    const link = document.createElement("a");
    link.href = address;
    link.download = hasModel ? "policy-with-model.yaml" : "policy.yaml";
    link.click();
    // The browser reads it after the click.
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  } catch (error) {
    setFault(messageOf(error));
  }
}

interface ReviewTextProps {
  readonly onClose: () => void;
  readonly reload: (hasModel: boolean) => void;
}

function ReviewText({ onClose, reload }: ReviewTextProps): JSX.Element | null {
  const now = textDraft.value!;
  const { text, hasModel, version } = now;
  const [conflicts, setConflicts] = useState<string[]>([]);
  const content = useMemo(() => ({ yaml: text, hasModel }), [text, hasModel]);
  const rebase = async (current: PolicyVersion): Promise<void> => {
    try {
      const theirs = await readYaml(hasModel);
      const merged = mergeText(now.base, text, theirs.text);
      setConflicts(
        merged === undefined
          ? [`Version ${current.version} changed the same lines: applying this text takes that back`]
          : [],
      );
      setText({ version: theirs.version, base: theirs.text, text: merged ?? text, hasModel });
    } catch (error) {
      setConflicts([messageOf(error)]);
    }
  };
  const done = (applied: Applied, { before }: Outlook): void => {
    onClose();
    setText({ ...now, base: text });
    reload(hasModel);
    void readPolicy();
    const warnings = applied.warnings.join(". ");
    showToast({
      text: `Version ${applied.version} is in force. ${warnings}`.trim(),
      ...(before === undefined
        ? {}
        : { action: { label: "Undo", run: () => void undo(before, applied.version, reload) } }),
    });
  };
  return (
    <ReviewDialog
      title="Review the text"
      {...{ content, conflicts, onClose }}
      base={version}
      onRebase={(current) => void rebase(current)}
      onDiscard={() => {
        onClose();
        reload(hasModel);
      }}
      onApplied={done}
    />
  );
}

/** Puts the text back that was in force before. */
async function undo(before: string, applied: number, reload: (hasModel: boolean) => void): Promise<void> {
  try {
    await applyYaml(before, applied, `Undo: version ${applied}`);
    showToast({ text: `Undone: version ${applied}` });
    if (!isTextChanged.peek()) reload(textDraft.peek()?.hasModel ?? false);
  } catch (error) {
    showToast({ kind: "fault", text: `Cannot undo: ${messageOf(error)}` });
  }
}
