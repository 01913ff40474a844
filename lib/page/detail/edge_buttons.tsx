/**
 * What can be done about an edge. Each button shows first what it would do.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import type { Change } from "../core/change.ts";
import { isOperator } from "../core/session.ts";
import type { EdgeRecord, PolicyDocument, PolicyVersion } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { propose } from "../ui/change_dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { showToast } from "../ui/toast.tsx";
import { decideEdge, expireRuleOf, removeRuleOf, type Until, UNTIL_MS } from "./edge_changes.ts";
import { defaultRuleWords } from "./edge_facts.ts";

export const VIEWER_WORDS = "This needs the role operator: yours is viewer";

export function EdgeButtons({ edge }: { readonly edge: EdgeRecord }): JSX.Element {
  const [isBusy, setBusy] = useState(false);
  const [until, setUntil] = useState<Until>();
  const title = isOperator() ? undefined : VIEWER_WORDS;
  const isDisabled = !isOperator();
  const start = async (make: (document: PolicyDocument) => Change | undefined): Promise<void> => {
    // Not by taking the buttons away meanwhile: the focus would be lost, and has to come back to them.
    if (isBusy) return;
    setBusy(true);
    try {
      const { document } = await ask<PolicyVersion>("GET", "/policy");
      const change = make(document);
      if (change === undefined) {
        showToast({
          kind: "fault",
          text: `The rule ${visible(edge.lastRule)} is not in the policy any more`,
        });
      } else propose(change);
    } catch (error) {
      showToast({ kind: "fault", text: messageOf(error) });
    }
    setBusy(false);
  };
  const isRule = defaultRuleWords(edge.lastRule) === undefined;
  const decide = (effect: "allow" | "prevent") => (): void =>
    void start((document) => decideEdge(edge, effect, document, until, Date.now()));
  return (
    <div class="edge-buttons">
      <div class="toolbar">
        <button type="button" title={title} disabled={isDisabled} onClick={decide("allow")}>
          <Icon name="check" /> Allow…
        </button>
        <button type="button" class="danger" title={title} disabled={isDisabled} onClick={decide("prevent")}>
          <Icon name="cross" /> Block…
        </button>
        <UntilField until={until} title={title} isDisabled={isDisabled} onChange={setUntil} />
      </div>
      {isRule && (
        <div class="toolbar">
          <span>
            The rule <b>{visible(edge.lastRule)}</b>:
          </span>
          <button
            type="button"
            title={title}
            disabled={isDisabled}
            onClick={() => void start((document) => removeRuleOf(edge, document))}
          >
            <Icon name="trash" /> Remove it…
          </button>
          <button
            type="button"
            title={title ?? (until === undefined ? "Choose for how long first" : undefined)}
            disabled={isDisabled || until === undefined}
            onClick={() => until && void start((document) => expireRuleOf(edge, document, until, Date.now()))}
          >
            <Icon name="clock" /> Let it expire…
          </button>
        </div>
      )}
    </div>
  );
}

interface UntilFieldProps {
  readonly until: Until | undefined;
  readonly title: string | undefined;
  readonly isDisabled: boolean;
  readonly onChange: (until: Until | undefined) => void;
}

function UntilField({ until, title, isDisabled, onChange }: UntilFieldProps): JSX.Element {
  return (
    <label class="inline">
      for
      <select
        title={title}
        disabled={isDisabled}
        value={until ?? ""}
        onChange={(event) => onChange((event.currentTarget.value || undefined) as Until | undefined)}
      >
        <option value="">ever</option>
        {Object.keys(UNTIL_MS).map((words) => <option key={words} value={words}>{words}</option>)}
      </select>
    </label>
  );
}
