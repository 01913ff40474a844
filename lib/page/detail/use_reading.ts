/**
 * Something of the API that is read again now and then, while it is looked at.
 *
 * @module
 */
import { useEffect, useState } from "preact/hooks";
import { messageOf } from "../core/api.ts";

export interface Reading<T> {
  /** The newest; it stays while the next is read. */
  readonly value: T | undefined;
  /** Why the last reading failed; empty when it did not. */
  readonly fault: string;
}

/**
 * @param key Of what is read: for another one all begins anew.
 * @param everyMs How often it is read again.
 */
export function useReading<T>(
  key: string,
  everyMs: number,
  read: (signal: AbortSignal) => Promise<T>,
): Reading<T> {
  const [known, setKnown] = useState<Reading<T> & { readonly key: string }>();
  useEffect(() => {
    const stopped = new AbortController();
    const { signal } = stopped;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const next = async (): Promise<void> => {
      try {
        if (document.visibilityState === "visible") {
          const value = await read(signal);
          if (!signal.aborted) setKnown({ key, value, fault: "" });
        }
      } catch (error) {
        if (signal.aborted) return;
        setKnown((before) => ({
          key,
          value: before?.key === key ? before.value : undefined,
          fault: messageOf(error),
        }));
      }
      if (!signal.aborted) timer = setTimeout(() => void next(), everyMs);
    };
    void next();
    return () => {
      stopped.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs]);
  return known?.key === key ? known : { value: undefined, fault: "" };
}
