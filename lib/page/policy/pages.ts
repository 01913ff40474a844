/**
 * Lists that come in pages, the newest first.
 *
 * @module
 */
import { useEffect, useState } from "preact/hooks";
import { ask, messageOf } from "../core/api.ts";

/** Rows of a page. */
const PAGE = 50;

interface Page<T> {
  readonly items: T[];
  readonly next?: string;
}

export interface Pages<T> {
  /** `undefined` until the first page is there. */
  readonly items: readonly T[] | undefined;
  readonly fault: string;
  /** Reads on; nothing when there is no more. */
  readonly more: (() => void) | undefined;
}

/** @param changed Read again from the newest when this is another value; what is there stays until then. */
export function usePages<T>(path: string, changed: unknown): Pages<T> {
  const [page, setPage] = useState<Page<T>>();
  const [fault, setFault] = useState("");
  useEffect(() => {
    let isOver = false;
    ask<Page<T>>("GET", path, { query: { limit: PAGE } }).then((first) => {
      if (isOver) return;
      setPage(first);
      setFault("");
    }, (error) => setFault(messageOf(error)));
    return () => {
      isOver = true;
    };
  }, [changed]);
  const next = page?.next;
  const more = (): void => {
    ask<Page<T>>("GET", path, { query: { limit: PAGE, before: next } }).then((following) => {
      // A page that was asked for twice is taken once.
      setPage((now) =>
        now?.next === next ? { ...following, items: [...now!.items, ...following.items] } : now
      );
    }, (error) => setFault(messageOf(error)));
  };
  return { items: page?.items, fault, more: next === undefined ? undefined : more };
}
