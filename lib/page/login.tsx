/**
 * The door: the admin token, or a one-time link.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { messageOf } from "./core/api.ts";
import { login, loginNotice } from "./core/session.ts";
import { Icon } from "./ui/icon.tsx";

export function Login(): JSX.Element {
  const [fault, setFault] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = async (form: HTMLFormElement): Promise<void> => {
    const field = form.elements.namedItem("token") as HTMLInputElement;
    const token = field.value.trim();
    if (token === "") return setFault("Paste the admin token");
    setBusy(true);
    setFault("");
    try {
      await login(token);
    } catch (error) {
      setFault(messageOf(error));
      setBusy(false);
      field.select();
    }
    field.value = "";
  };
  return (
    <main class="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit(event.currentTarget);
        }}
      >
        <h1>
          <Icon name="wall" size={28} /> netwall
        </h1>
        {loginNotice.value !== "" && <p class="warning" role="status">{loginNotice.value}</p>}
        <label>
          Admin token
          <input name="token" type="password" autocomplete="off" spellcheck={false} autofocus />
        </label>
        {fault !== "" && <p class="fault" role="alert">{fault}</p>}
        <button type="submit" class="primary" disabled={isBusy}>{isBusy ? "Looking…" : "Log in"}</button>
        <p class="muted">
          It is in the file <code>admin-token</code>{" "}
          of the gateway's data directory. Or ask for a link that works once:{" "}
          <code>netwall-gateway page</code>
        </p>
      </form>
    </main>
  );
}
