/**
 * Reads a page of events in pieces: what is rare among many is looked for in several turns of the event loop.
 *
 * @module
 */
import type { NetwallEvent } from "../events/event.ts";
import { isOfText } from "../store/query.ts";
import type { EventQuery, Page, Store } from "../store/store.ts";

/** Events that are looked at in one turn: some 3 ms under Bun, 6 ms under Deno. */
export const LOOKS_PER_TURN_MAX = 10_000;
/** The same where the text of each is looked into. */
export const TEXT_LOOKS_PER_TURN_MAX = 1_000;

/**
 * A page that is as long as it can be, as if the store had been asked once.
 *
 * @param turn Does a piece when its turn has come.
 * @throws {StoreError} And whatever `turn` throws.
 */
export async function readPage(
  store: Store,
  query: EventQuery,
  turn: <T>(work: () => T) => Promise<Awaited<T>>,
): Promise<Page<NetwallEvent>> {
  const items: NetwallEvent[] = [];
  let rest = { ...query, looksMax: isOfText(query) ? TEXT_LOOKS_PER_TURN_MAX : LOOKS_PER_TURN_MAX };
  for (;;) {
    const page = await turn(() => store.events(rest)) as Page<NetwallEvent>;
    items.push(...page.items);
    const { next } = page;
    if (next === undefined) return { items };
    const limit = query.limit - items.length;
    if (limit <= 0) return { items, next };
    rest = { ...rest, before: next, limit };
  }
}
