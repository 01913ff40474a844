/**
 * The tokens that were minted: what each is good for and for how long; making one, and revoking one.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";
import { moment, plural } from "../core/format.ts";
import { place } from "../core/router.ts";
import { isOperator, session } from "../core/session.ts";
import { links, nowMs } from "../core/state.ts";
import type { Token } from "../core/types.ts";
import { Badge } from "../ui/badge.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Empty } from "../ui/empty.tsx";
import { Icon } from "../ui/icon.tsx";
import { showToast } from "../ui/toast.tsx";
import { ListBar } from "./list_bar.tsx";
import {
  callsText,
  expiryText,
  isExpiringSoon,
  revokeText,
  selectTokens,
  servesText,
} from "./token_facts.ts";
import { TokenDialog } from "./token_form.tsx";

/** Read at once; older ones are asked for. */
const PAGE_TOKENS = 200;
const STATES: readonly Token["state"][] = ["valid", "expired", "revoked"];

interface Read {
  readonly items: readonly Token[];
  readonly next?: string;
}

export function TokensView(): JSX.Element {
  if (!isOperator()) {
    return (
      <Empty title="Tokens are for operators">
        <p>You are logged in as a viewer, who sees who is linked, but not which tokens there are.</p>
      </Empty>
    );
  }
  return <Tokens />;
}

function Tokens(): JSX.Element {
  const [read, setRead] = useState<Read>();
  const [fault, setFault] = useState("");
  const [isMaking, setMaking] = useState(false);
  const [revoked, setRevoked] = useState<Token>();
  const load = (before?: string): void => {
    const query = { limit: PAGE_TOKENS, before };
    ask<Read>("GET", "/tokens", { query }).then((page) => {
      setFault("");
      setRead((known) =>
        before === undefined ? page : { ...page, items: [...known?.items ?? [], ...page.items] }
      );
    }, (error) => setFault(messageOf(error)));
  };
  useEffect(() => load(), []);
  const { params } = place.value;
  const state = STATES.find((each) => each === params.get("state"));
  const shown = selectTokens(read?.items ?? [], { text: params.get("q") ?? "", state });
  return (
    <>
      <ListBar
        text={params.get("q") ?? ""}
        label="State"
        param="state"
        states={STATES}
        chosen={state}
      >
        <button type="button" onClick={() => setMaking(true)}>
          <Icon name="plus" /> Make a token
        </button>
      </ListBar>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {read === undefined && fault === "" && <p aria-busy="true">Reading the list…</p>}
      {read?.items.length === 0 && (
        <Empty title="No token was made yet">
          <p>An agent shows a token when it links: it says what the agent may serve and call.</p>
        </Empty>
      )}
      {read !== undefined && read.items.length > 0 && (
        <TokenTable tokens={shown} all={read.items.length} onRevoke={setRevoked} />
      )}
      {read?.next !== undefined && (
        <button type="button" onClick={() => load(read.next)}>Load older ones</button>
      )}
      {isMaking && <TokenDialog onClose={() => setMaking(false)} onMinted={() => load()} />}
      {revoked && (
        <RevokeDialog
          token={revoked}
          tokens={read?.items ?? []}
          onClose={() => setRevoked(undefined)}
          onRevoked={() => load()}
        />
      )}
    </>
  );
}

interface TokenTableProps {
  readonly tokens: readonly Token[];
  readonly all: number;
  readonly onRevoke: (token: Token) => void;
}

function TokenTable({ tokens, all, onRevoke }: TokenTableProps): JSX.Element {
  return (
    <div class="table-frame">
      <table class="tokens">
        <caption>{tokens.length} of {plural(all, "token")}, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">Agent</th>
            <th scope="col" class="minor">May serve</th>
            <th scope="col" class="minor">May call</th>
            <th scope="col" class="minor">Namespace and image</th>
            <th scope="col" class="minor">Made</th>
            <th scope="col">Ends</th>
            <th scope="col">State</th>
            <th scope="col">
              <span class="hidden">What can be done</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {tokens.map((token) => <TokenRow key={token.id} token={token} onRevoke={onRevoke} />)}
        </tbody>
      </table>
    </div>
  );
}

function TokenRow(
  { token, onRevoke }: { readonly token: Token; readonly onRevoke: (token: Token) => void },
): JSX.Element {
  const { namespace, image, role, state } = token;
  const now = nowMs.value;
  return (
    <tr class={state === "valid" ? "" : "faded"}>
      <th scope="row" title={`Id ${token.id}`}>
        {token.name} {role !== undefined && <Badge word="admin" label={`admin, ${role}`} />}
      </th>
      <td class="minor long">{servesText(token) || "–"}</td>
      <td class="minor long">{callsText(token) || "–"}</td>
      <td class="minor long">
        {role === undefined ? `${namespace}${image === "" ? "" : ` / ${image}`}` : "–"}
      </td>
      <td class="minor" title={moment(token.issuedAtMs)}>{moment(token.issuedAtMs).slice(0, 10)}</td>
      <td title={moment(token.expiresAtMs)}>
        {expiryText(token, now)} {isExpiringSoon(token, now) && <Badge word="warning" label="soon" />}
      </td>
      <td>
        <Badge word={state} />
      </td>
      <td>
        {state === "valid" && (
          <button
            type="button"
            class="danger"
            aria-label={`Revoke the token of ${token.name}`}
            onClick={() => onRevoke(token)}
          >
            Revoke…
          </button>
        )}
      </td>
    </tr>
  );
}

interface RevokeDialogProps {
  readonly token: Token;
  readonly tokens: readonly Token[];
  readonly onClose: () => void;
  readonly onRevoked: () => void;
}

function RevokeDialog({ token, tokens, onClose, onRevoked }: RevokeDialogProps): JSX.Element {
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const revoke = async (): Promise<void> => {
    setBusy(true);
    try {
      await ask("DELETE", `/tokens/${encodeURIComponent(token.id)}`);
      onClose();
      showToast({ text: `Revoked: the token of ${token.name}` });
    } catch (error) {
      setFault(messageOf(error));
      setBusy(false);
    }
    onRevoked();
  };
  return (
    <Dialog title={`Revoke the token of ${token.name}`} onClose={onClose}>
      <p>{revokeText(token, links.value, tokens, session.value?.name ?? "")}</p>
      <p>This cannot be undone: to let it in again, make a new token.</p>
      <p class="muted">
        Id <code>{token.id}</code>, made {moment(token.issuedAtMs)}
      </p>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      <footer class="dialog-foot">
        <button type="button" onClick={onClose}>Cancel</button>
        <button type="button" class="danger" disabled={isBusy} onClick={() => void revoke()}>
          {isBusy ? "Revoking…" : "Revoke"}
        </button>
      </footer>
    </Dialog>
  );
}
