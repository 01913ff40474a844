/**
 * Asks the API for something again and again, while it is looked at.
 *
 * @module
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { messageOf, respond } from "../core/api.ts";

export interface Polled<T> {
  /** What was read last; old content stays while it is read anew. `undefined` until it is there. */
  readonly data: T | undefined;
  /** The time at the gateway when it was read, since 1970. */
  readonly serverMs: number;
  /** Empty when all is well. */
  readonly fault: string;
  /** Asks at once. */
  again(): void;
}

/** In a tab that nobody sees it is asked for so often. */
const HIDDEN_MS = 15_000;
/** A long answer costs as much to make as to read: at least so many times its time lies between two. */
const REST_FACTOR = 10;
/** Of answers, in the mean: a wall of hundreds of services must not fill the memory of the tab with them. */
const CHARS_PER_MS_MAX = 512;

/** @param path Under `/api/v1`, with its query. What was read from another is forgotten. `undefined` asks for nothing. */
export function usePolled<T>(path: string | undefined, everyMs: number): Polled<T> {
  const [read, setRead] = useState<{ path: string; data: T; serverMs: number }>();
  const [fault, setFault] = useState("");
  const wake = useRef<() => void>(() => {});
  useEffect(() => {
    if (path === undefined) return;
    const stopped = new AbortController();
    const { signal } = stopped;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      clearTimeout(timer);
      const startMs = performance.now();
      let chars = 0;
      try {
        const response = await respond("GET", path, {
          signal: AbortSignal.any([signal, AbortSignal.timeout(30_000)]),
        });
        const text = await response.text();
        if (signal.aborted) return;
        chars = text.length;
        const data = JSON.parse(text) as T;
        setRead({ path, data, serverMs: Date.parse(response.headers.get("date") ?? "") || Date.now() });
        setFault("");
      } catch (error) {
        if (signal.aborted) return;
        setFault(messageOf(error));
      }
      const tookMs = performance.now() - startMs;
      const restMs = Math.max(everyMs, tookMs * REST_FACTOR, chars / CHARS_PER_MS_MAX);
      clearTimeout(timer);
      timer = setTimeout(() => void look(), document.visibilityState === "visible" ? restMs : HIDDEN_MS);
    };
    const onVisible = (): void => {
      if (document.visibilityState === "visible") void look();
    };
    wake.current = () => void look();
    document.addEventListener("visibilitychange", onVisible);
    void look();
    return () => {
      stopped.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, [path, everyMs]);
  const isCurrent = read !== undefined && read.path === path;
  return {
    ...{ data: isCurrent ? read.data : undefined, serverMs: isCurrent ? read.serverMs : 0, fault },
    again: () => wake.current(),
  };
}
