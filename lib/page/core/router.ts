/**
 * Which view is shown, and with what: it is all in the address, so that a view can be sent to a colleague.
 *
 * Nothing secret may stand in it.
 *
 * @module
 */
import { signal } from "@preact/signals";

export const VIEWS = ["map", "events", "traffic", "policy", "links"] as const;
export type View = (typeof VIEWS)[number];

export interface Place {
  readonly view: View;
  readonly params: URLSearchParams;
}

/** Where the user is. */
export const place = signal<Place>(read(globalThis.location?.href ?? "http://localhost/"));

/** @param href Of any kind: what is no view is the map. */
export function read(href: string): Place {
  const { pathname, searchParams } = new URL(href);
  const name = pathname.slice(1);
  return { view: VIEWS.find((view) => view === name) ?? "map", params: searchParams };
}

export function hrefOf(view: View, params: Readonly<Record<string, string | undefined>> = {}): string {
  return addressOf(view, withParams(new URLSearchParams(), params));
}

/** Goes there, as a link does. */
export function go(view: View, params: Readonly<Record<string, string | undefined>> = {}): void {
  move({ view, params: withParams(new URLSearchParams(), params) }, "pushState");
}

/**
 * Changes parameters of this view; `undefined` and empty ones are taken out.
 *
 * @param how `push` for what a user expects to come back to; `replace` for typing in a field.
 */
export function setParams(
  patch: Readonly<Record<string, string | undefined>>,
  how: "push" | "replace" = "replace",
): void {
  const { view, params } = place.peek();
  const next = withParams(new URLSearchParams(params), patch);
  if (next.toString() === params.toString()) return;
  move({ view, params: next }, how === "push" ? "pushState" : "replaceState");
}

/** Follows the buttons of the browser. Called once. */
export function startRouter(): void {
  globalThis.addEventListener("popstate", () => {
    place.value = read(location.href);
  });
}

function move(next: Place, how: "pushState" | "replaceState"): void {
  history[how](null, "", addressOf(next.view, next.params));
  place.value = next;
}

function addressOf(view: View, params: URLSearchParams): string {
  const suffix = params.size > 0 ? `?${params}` : "";
  return `/${view === "map" ? "" : view}${suffix}`;
}

function withParams(
  params: URLSearchParams,
  patch: Readonly<Record<string, string | undefined>>,
): URLSearchParams {
  for (const [name, value] of Object.entries(patch)) {
    if (value === undefined || value === "") params.delete(name);
    else params.set(name, value);
  }
  return params;
}
