/**
 * The page: it starts here.
 *
 * It runs in a browser and speaks to the admin API alone. Built into two files, it is embedded in the gateway.
 *
 * @module
 */
import type { JSX } from "preact";
import { render } from "preact";
import { effect } from "@preact/signals";
import { Live } from "./core/live.ts";
import { startRouter } from "./core/router.ts";
import { session, startSession } from "./core/session.ts";
import { Login } from "./login.tsx";
import { Shell } from "./shell.tsx";
import { startTheme } from "./ui/theme.ts";

function Page(): JSX.Element {
  if (session.value === undefined) return <p class="starting" aria-busy="true">Asking who you are…</p>;
  return session.value === null ? <Login /> : <Shell />;
}

let live: Live | undefined;
effect(() => {
  // Another session of the same user goes on with what is there.
  const isLoggedIn = !!session.value;
  if (isLoggedIn && live === undefined) {
    live = new Live();
    live.start();
  } else if (!isLoggedIn) {
    live?.stop();
    live = undefined;
  }
});
startTheme();
startRouter();
void startSession();
render(<Page />, document.getElementById("page")!);
