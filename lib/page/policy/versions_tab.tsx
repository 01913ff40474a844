/**
 * Versions of the policy: who made each, what is different from what is in force, and the way back.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { plural, shortMoment } from "../core/format.ts";
import { place, setParams } from "../core/router.ts";
import { isOperator } from "../core/session.ts";
import { policyVersion } from "../core/state.ts";
import type { Applied, PolicyVersion, VersionSummary } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { showToast } from "../ui/toast.tsx";
import { differenceLine, differences, lineClass } from "./differences.ts";
import { draft, inForce, readPolicy, roughNowMs } from "./policy_state.ts";
import { usePages } from "./pages.ts";
import { ReviewDialog } from "./review_dialog.tsx";

export function VersionsTab(): JSX.Element {
  const { items, fault, more } = usePages<VersionSummary>("/policy/versions", policyVersion.value);
  const chosen = Number(place.value.params.get("version") ?? "");
  const [rollback, setRollback] = useState<PolicyVersion>();
  return (
    <section aria-label="Versions">
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {items === undefined && fault === "" && <p aria-busy="true">Reading the versions…</p>}
      {items !== undefined && <VersionTable items={items} />}
      {more !== undefined && <button type="button" onClick={more}>Show older versions</button>}
      {Number.isInteger(chosen) && chosen > 0 && rollback === undefined && (
        <VersionDialog key={chosen} number={chosen} onRollback={setRollback} />
      )}
      {rollback !== undefined && <RollbackDialog to={rollback} onClose={() => setRollback(undefined)} />}
    </section>
  );
}

function VersionTable({ items }: { readonly items: readonly VersionSummary[] }): JSX.Element {
  const current = inForce.value?.version;
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label="Table of versions">
      <table class="policy-table">
        <caption class="hidden">Versions of the policy, the newest first</caption>
        <thead>
          <tr>
            <th scope="col" class="number">Version</th>
            <th scope="col">When</th>
            <th scope="col">By</th>
            <th scope="col">Comment</th>
            <th scope="col">Look</th>
          </tr>
        </thead>
        <tbody>
          {items.map(({ version, atMs, by, comment }) => (
            <tr key={version}>
              <td class="number" data-label="Version">{version}</td>
              <td data-label="When" class="policy-time">{shortMoment(atMs, roughNowMs.value)}</td>
              <td class="long" data-label="By">{visible(by)}</td>
              <td class="long" data-label="Comment">
                {visible(comment)} {version === current && <Badge word="valid" label="in force" />}
              </td>
              <td data-label="Look">
                <button
                  type="button"
                  aria-label={`Look at version ${version}`}
                  onClick={() => setParams({ version: String(version) }, "push")}
                >
                  Look…
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface VersionDialogProps {
  readonly number: number;
  readonly onRollback: (version: PolicyVersion) => void;
}

function VersionDialog({ number, onRollback }: VersionDialogProps): JSX.Element {
  const [found, setFound] = useState<PolicyVersion>();
  const [before, setBefore] = useState<PolicyVersion>();
  const [fault, setFault] = useState("");
  useEffect(() => {
    const read = (version: number): Promise<PolicyVersion> =>
      ask<PolicyVersion>("GET", `/policy/versions/${version}`);
    read(number).then(setFound, (error) => setFault(messageOf(error)));
    // Versions are kept for a while only.
    if (number > 1) read(number - 1).then(setBefore, () => {});
  }, []);
  const current = inForce.value;
  const close = (): void => setParams({ version: undefined }, "push");
  return (
    <Dialog title={`Version ${number}`} onClose={close} isWide>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {found === undefined && fault === "" && <p aria-busy="true">Reading it…</p>}
      {found && (
        <>
          <p>
            {found.by}, {shortMoment(found.atMs, roughNowMs.value)}
            {found.comment !== "" && <>: {visible(found.comment)}</>}
          </p>
          {before && <Changes title={`Changed since version ${before.version}`} from={before} to={found} />}
          {current && current.version !== number && (
            <Changes
              title={`Would change in version ${current.version}, in force now`}
              from={current}
              to={found}
            />
          )}
          <details>
            <summary>All of it, without what was learned</summary>
            <pre class="policy-json">{JSON.stringify(found.document.spec, null, 2).split("\n").map(visible).join("\n")}</pre>
          </details>
          {isOperator() && current && current.version !== number && (
            <footer class="dialog-foot">
              <button
                type="button"
                disabled={draft.value !== undefined}
                title={draft.value === undefined ? undefined : "Apply the draft first, or throw it away"}
                onClick={() => {
                  setParams({ version: undefined });
                  onRollback(found);
                }}
              >
                Roll back to it…
              </button>
            </footer>
          )}
        </>
      )}
    </Dialog>
  );
}

/** Lines of a difference that are shown. */
const LINES_MAX = 100;

interface ChangesProps {
  readonly title: string;
  readonly from: PolicyVersion;
  readonly to: PolicyVersion;
  /** The gateway tells more, from what is in force and to operators alone. */
  readonly isAsked?: boolean;
}

function Changes({ title, from, to, isAsked = false }: ChangesProps): JSX.Element {
  const [told, setTold] = useState<readonly string[]>();
  useEffect(() => {
    if (!isAsked) return;
    ask<{ lines: string[] }>("POST", "/policy/diff", { json: to.document })
      // Without an answer the names must do.
      .then(({ lines }) => setTold(lines), () => {});
  }, [isAsked, from, to]);
  const lines = told ?? differences(from.document, to.document).map(differenceLine);
  return (
    <>
      <h3>{title}</h3>
      {lines.length === 0 && <p>Nothing that stands in the policy itself.</p>}
      {lines.length > 0 && (
        <ul class="diff">
          {lines.slice(0, LINES_MAX).map((line, place) => (
            <li key={`${place}:${line}`} class={lineClass(line)}>{visible(line)}</li>
          ))}
          {lines.length > LINES_MAX && <li>and {plural(lines.length - LINES_MAX, "more line")}</li>}
        </ul>
      )}
    </>
  );
}

function RollbackDialog(
  { to, onClose }: { readonly to: PolicyVersion; readonly onClose: () => void },
): JSX.Element | null {
  const [base, setBase] = useState(inForce.peek()?.version ?? 0);
  const [content] = useState({ rollbackTo: to });
  const done = ({ version, cut }: Applied): void => {
    onClose();
    void readPolicy();
    const cutText = cut > 0 ? ` ${plural(cut, "open stream")} cut.` : "";
    showToast({
      text: `Version ${to.version} is in force again, as version ${version}.${cutText}`,
      action: { label: "Undo", run: () => void undo(base, version) },
    });
  };
  return (
    <ReviewDialog
      title={`Roll back to version ${to.version}`}
      {...{ content, base, onClose }}
      onRebase={(current) => setBase(current.version)}
      rebaseLabel="Look at it again"
      onApplied={done}
    >
      <p>It becomes a new version, the newest. What was learned stays as it is.</p>
    </ReviewDialog>
  );
}

/** Back to what was in force before, unless something else is in force by now. */
async function undo(before: number, applied: number): Promise<void> {
  try {
    const { version } = await ask<PolicyVersion>("GET", "/policy");
    if (version !== applied) {
      showToast({
        kind: "fault",
        text: `Cannot undo: version ${version} is in force by now, see “Versions”`,
      });
      return;
    }
    await ask("POST", `/policy/versions/${before}/rollback`);
    showToast({ text: `Undone: version ${before} is in force again` });
  } catch (error) {
    showToast({ kind: "fault", text: `Cannot undo: ${messageOf(error)}` });
  }
}
