/**
 * The frame of every view: where one can go, who is logged in, and whether what is shown is live.
 *
 * @module
 */
import type { JSX } from "preact";
import { type ReadonlySignal, useSignalEffect } from "@preact/signals";
import { messageOf } from "./core/api.ts";
import { clock, duration } from "./core/format.ts";
import { place, type View, VIEWS } from "./core/router.ts";
import { logout, session } from "./core/session.ts";
import { fault, liveness, nowMs, status } from "./core/state.ts";
import { Detail } from "./detail/detail.tsx";
import { EventsView } from "./events/events_view.tsx";
import { titleOf, unseenText, unseenWords } from "./events/unseen.ts";
import { useUnseen } from "./events/use_unseen.ts";
import { LinksView } from "./links/links_view.tsx";
import { MapView } from "./map/map_view.tsx";
import { PolicyView } from "./policy/policy_view.tsx";
import { TrafficView } from "./traffic/traffic_view.tsx";
import { Boundary } from "./ui/boundary.tsx";
import { ChangeDialog } from "./ui/change_dialog.tsx";
import { Icon } from "./ui/icon.tsx";
import { ViewLink } from "./ui/link.tsx";
import { theme, toggleTheme } from "./ui/theme.ts";
import { showToast, Toasts } from "./ui/toast.tsx";

const TITLES: Readonly<Record<View, string>> = {
  map: "Map",
  events: "Events",
  traffic: "Traffic",
  policy: "Policy",
  links: "Links",
};

export function Shell(): JSX.Element {
  const { view } = place.value;
  const unseen = useUnseen();
  useSignalEffect(() => {
    document.title = titleOf(TITLES[place.value.view], unseen.value);
  });
  return (
    <div class="shell">
      <a class="skip" href="#view">Skip to the view</a>
      <header class="top">
        <span class="brand">
          <Icon name="wall" size={20} /> netwall
        </span>
        <nav aria-label="Views">
          {VIEWS.map((name) => (
            <ViewLink key={name} view={name} class="tab" current={name === view}>
              <Icon name={name} />
              <span>{TITLES[name]}</span>
              {name === "events" && <Unseen unseen={unseen} />}
            </ViewLink>
          ))}
        </nav>
        <LiveSign />
        <button
          type="button"
          class="quiet"
          aria-label={theme.value === "dark" ? "Light colours" : "Dark colours"}
          onClick={toggleTheme}
        >
          <Icon name={theme.value === "dark" ? "sun" : "moon"} />
        </button>
        <span class="who" title={`Role: ${session.value?.role}`}>
          <Icon name="user" /> <span>{session.value?.name} ({session.value?.role})</span>
        </span>
        <button type="button" class="quiet" onClick={leave}>Log out</button>
      </header>
      <Banner />
      <div class="body">
        <main id="view" class={`view view-${view}`} tabIndex={-1}>
          <h1 class="hidden">{TITLES[view]}</h1>
          <Boundary part={TITLES[view]}>
            <Current view={view} />
          </Boundary>
        </main>
        <Boundary
          part={`the details, ${place.value.params.get("edge") ?? place.value.params.get("group") ?? ""}`}
        >
          <Detail />
        </Boundary>
      </div>
      <Boundary part="the change">
        <ChangeDialog />
      </Boundary>
      <Toasts />
    </div>
  );
}

/** Beside the name of the events; drawn anew by itself. */
function Unseen({ unseen: { value } }: { readonly unseen: ReadonlySignal<number> }): JSX.Element | null {
  if (value === 0) return null;
  return (
    <span class="tab-count">
      <span aria-hidden="true">{unseenText(value)}</span>
      <span class="hidden">{unseenWords(value)}</span>
    </span>
  );
}

function leave(): void {
  logout().catch((error) => showToast({ kind: "fault", text: `Cannot log out: ${messageOf(error)}` }));
}

function Current({ view }: { readonly view: View }): JSX.Element {
  if (view === "events") return <EventsView />;
  if (view === "traffic") return <TrafficView />;
  if (view === "policy") return <PolicyView />;
  if (view === "links") return <LinksView />;
  return <MapView />;
}

function LiveSign(): JSX.Element {
  const { state } = liveness.value;
  const words = { connecting: "connecting", live: "live", lost: "not live" } as const;
  const { version = "" } = status.value ?? {};
  return (
    <span class={`live is-${state}`} title={version && `netwall ${version}, ${status.value!.runtime}`}>
      <span aria-hidden="true">{state === "live" ? "●" : "○"}</span> {words[state]}
    </span>
  );
}

/** What stands above everything: the stream is lost, or the gateway says that something is wrong. */
function Banner(): JSX.Element | null {
  const now = liveness.value;
  const store = status.value?.firewall?.store;
  const lines: string[] = [];
  if (now.state === "lost") {
    const past = duration(Math.max(0, nowMs.value - now.sinceMs));
    const stop = /[.?!]$/.test(now.reason) ? "" : ".";
    lines.push(
      `Not live for ${past}, since ${clock(now.sinceMs)}: ${now.reason}${stop} What you see may be old. ` +
        "The page tries again by itself, and will miss nothing.",
    );
  } else if (fault.value !== "") lines.push(fault.value);
  if (store?.state === "fault") {
    lines.push(`The store cannot be written, so events are kept in memory alone: ${store.fault ?? ""}`);
  }
  return (
    <div class="banners" role="alert">
      {lines.map((line) => <p key={line.slice(0, 12)} class="banner">{line}</p>)}
    </div>
  );
}
