/**
 * Follows what the user has looked at: the events view counts as long as its tab is to be seen.
 *
 * @module
 */
import { type ReadonlySignal, useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { place } from "../core/router.ts";
import { events, isLoaded } from "../core/state.ts";
import { type EventsById, unseenOf } from "./unseen.ts";

/** How many alerts and refusals came since. Who reads the signal alone is drawn anew. */
export function useUnseen(): ReadonlySignal<number> {
  const seen = useSignal<EventsById | undefined>(undefined);
  const isTabVisible = useSignal(document.visibilityState === "visible");
  useEffect(() => {
    const follow = (): void => {
      isTabVisible.value = document.visibilityState === "visible";
    };
    document.addEventListener("visibilitychange", follow);
    return () => document.removeEventListener("visibilitychange", follow);
  }, []);
  useSignalEffect(() => {
    if (!isLoaded.value) return;
    const isLooking = place.value.view === "events" && isTabVisible.value;
    // What was there when the page came is old.
    if (isLooking || seen.peek() === undefined) seen.value = events.value;
  });
  return useComputed(() => seen.value === undefined ? 0 : unseenOf(events.value, seen.value));
}
