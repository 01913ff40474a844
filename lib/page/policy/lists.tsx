/**
 * Who changed what, and who is refused for a while.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { duration, moment, shortMoment } from "../core/format.ts";
import { isOperator } from "../core/session.ts";
import { nowMs, policyVersion } from "../core/state.ts";
import type { BanView } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { ViewLink } from "../ui/link.tsx";
import { showToast } from "../ui/toast.tsx";
import { usePages } from "./pages.ts";
import { roughNowMs } from "./policy_state.ts";
import { saveAuditLog } from "./save_audit.ts";

interface AuditEntry {
  readonly id: number;
  readonly atMs: number;
  readonly by: string;
  readonly role: string;
  readonly action: string;
  readonly detail: string;
}

export function AuditTab(): JSX.Element {
  const { items, fault, more } = usePages<AuditEntry>("/audit", policyVersion.value);
  return (
    <section aria-label="Audit log">
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {items === undefined && fault === "" && <p aria-busy="true">Reading the audit log…</p>}
      {items?.length === 0 && (
        <Empty title="Nobody has changed anything yet">
          <p>Whatever an operator changes is written here, with the name of the admin token.</p>
        </Empty>
      )}
      {items !== undefined && items.length > 0 && <SaveButton />}
      {items !== undefined && items.length > 0 && (
        <div class="table-frame" tabIndex={0} role="region" aria-label="Table of the audit log">
          <table class="policy-table">
            <caption class="hidden">Who changed what, the newest first</caption>
            <thead>
              <tr>
                <th scope="col">When</th>
                <th scope="col">By</th>
                <th scope="col">What</th>
                <th scope="col">In detail</th>
              </tr>
            </thead>
            <tbody>
              {items.map(({ id, atMs, by, role, action, detail }) => (
                <tr key={id}>
                  <td data-label="When" class="policy-time" title={moment(atMs)}>
                    {shortMoment(atMs, roughNowMs.value)}
                  </td>
                  <td class="long" data-label="By">
                    {visible(by)} <span class="muted">({role})</span>
                  </td>
                  <td class="mono" data-label="What">{action}</td>
                  <td class="long" data-label="In detail">{visible(detail)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {more !== undefined && <button type="button" onClick={more}>Show older entries</button>}
    </section>
  );
}

function SaveButton(): JSX.Element {
  const [isBusy, setBusy] = useState(false);
  const save = async (): Promise<void> => {
    if (isBusy) return;
    setBusy(true);
    try {
      const isCut = await saveAuditLog();
      showToast({ text: isCut ? "Saved, but for the oldest entries: its last line says so" : "Saved" });
    } catch (error) {
      showToast({ kind: "fault", text: `Cannot save the audit log: ${messageOf(error)}` });
    }
    setBusy(false);
  };
  return (
    <p class="policy-save">
      <button type="button" title="All of it, one entry a line" onClick={() => void save()}>
        <Icon name="download" /> {isBusy ? "Reading…" : "NDJSON"} <span class="hidden">of the audit log</span>
      </button>
    </p>
  );
}

const BANS_POLL_MS = 5_000;

export function BansTab(): JSX.Element {
  const [bans, setBans] = useState<readonly BanView[]>();
  const [fault, setFault] = useState("");
  const [asked, setAsked] = useState<BanView>();
  const read = (): void => {
    ask<{ items: BanView[] }>("GET", "/bans").then(({ items }) => {
      setBans(items);
      setFault("");
    }, (error) => setFault(messageOf(error)));
  };
  useEffect(() => {
    read();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") read();
    }, BANS_POLL_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <section aria-label="Bans">
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {bans === undefined && fault === "" && <p aria-busy="true">Reading the bans…</p>}
      {bans?.length === 0 && (
        <Empty title="Nobody is banned">
          <p>
            A source that goes over a <ViewLink view="policy" params={{ tab: "limits" }}>rate limit</ViewLink>
            {" "}
            with a ban is refused for a while, and stands here.
          </p>
        </Empty>
      )}
      {bans !== undefined && bans.length > 0 && <BanTable bans={bans} onAsk={setAsked} />}
      {asked !== undefined && (
        <UnbanDialog
          ban={asked}
          onClose={() => {
            setAsked(undefined);
            read();
          }}
        />
      )}
    </section>
  );
}

interface BanTableProps {
  readonly bans: readonly BanView[];
  readonly onAsk: (ban: BanView) => void;
}

function BanTable({ bans, onAsk }: BanTableProps): JSX.Element {
  return (
    <div class="table-frame" tabIndex={0} role="region" aria-label="Table of bans">
      <table class="policy-table">
        <caption class="hidden">Sources that are refused for a while</caption>
        <thead>
          <tr>
            <th scope="col">Source</th>
            <th scope="col">Service</th>
            <th scope="col">Why</th>
            <th scope="col">Ends</th>
            {isOperator() && <th scope="col">Change</th>}
          </tr>
        </thead>
        <tbody>
          {bans.map((ban) => (
            <tr key={ban.key}>
              <td class="long mono" data-label="Source">{ban.source}</td>
              <td data-label="Service">{ban.service === "" ? "every service" : ban.service}</td>
              <td class="long" data-label="Why">{ban.reason}</td>
              <td class="policy-time" data-label="Ends" title={moment(ban.untilMs)}>
                in {duration(Math.max(0, ban.untilMs - nowMs.value))}
              </td>
              {isOperator() && (
                <td data-label="Change">
                  <button type="button" aria-label={`Let in again: ${ban.source}`} onClick={() => onAsk(ban)}>
                    Let in again…
                  </button>
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function UnbanDialog({ ban, onClose }: { readonly ban: BanView; readonly onClose: () => void }): JSX.Element {
  const [fault, setFault] = useState("");
  const lift = async (): Promise<void> => {
    try {
      await ask("DELETE", `/bans/${encodeURIComponent(ban.key)}`);
      showToast({ text: `${ban.source} is let in again` });
      onClose();
    } catch (error) {
      setFault(messageOf(error));
    }
  };
  return (
    <Dialog title={`Let ${ban.source} in again?`} onClose={onClose}>
      <p>
        Its ban ends at once, and its rate limit begins anew. If it goes over the limit again, it is banned
        again.
      </p>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="primary" onClick={() => void lift()}>Let in again</button>
      </footer>
    </Dialog>
  );
}
