/**
 * Looks up host names for the exit, a bounded number at once.
 *
 * The system's resolver blocks one of few threads per name, for many seconds when its server is silent, and such a
 * look-up cannot be taken back. So only so many run, further ones wait their turn, and a name that is asked for by
 * many at once is looked up once. Nothing is kept after the answer: how long it holds is the resolver's business.
 *
 * @module
 */

import dns from "node:dns";

/** Look-ups that run at once. */
export const LOOKUPS_MAX = 64;
/** Names that wait for one of them; beyond, a look-up is refused at once. */
export const LOOKUPS_WAITING_MAX = 1024;

/**
 * Gives the addresses of a name, in the order in which to try them.
 *
 * @param signal When it aborts, nobody waits for the answer any more.
 */
export type Lookup = (host: string, signal: AbortSignal) => Promise<readonly string[]>;

/** Too many names are being looked up. */
export class LookupOverloadError extends Error {
  override name = "LookupOverloadError";
}

/** Asks the operating system: its hosts file, its resolvers, its order of addresses. */
export async function lookupBySystem(host: string): Promise<readonly string[]> {
  const answers = await dns.promises.lookup(host, { all: true, verbatim: true });
  return answers.map(({ address }) => address);
}

/** A name that is or will be looked up, for one asker or more. */
interface Asked {
  readonly answer: PromiseWithResolvers<readonly string[]>;
  askers: number;
}

/**
 * Bounds a look-up. Make one for the whole process, as it counts what runs.
 *
 * @param lookup What is bounded. @default lookupBySystem
 * @param limits For tests: fewer at once, fewer waiting.
 * @returns A look-up that rejects with `LookupOverloadError` when too many wait.
 */
export function boundedLookup(
  lookup: (host: string) => Promise<readonly string[]> = lookupBySystem,
  limits: { readonly runningMax: number; readonly waitingMax: number } = {
    runningMax: LOOKUPS_MAX,
    waitingMax: LOOKUPS_WAITING_MAX,
  },
): Lookup {
  const names = new Map<string, Asked>();
  /** Names that have not been started, oldest first. */
  const waiting = new Set<string>();

  const start = async (host: string, entry: Asked): Promise<void> => {
    try {
      entry.answer.resolve(await lookup(host));
    } catch (error) {
      entry.answer.reject(error);
    }
    // The thread is free only now, whether or not somebody still waits for the answer.
    names.delete(host);
    const [next] = waiting;
    const nextEntry = next === undefined ? undefined : names.get(next);
    if (next === undefined || nextEntry === undefined) return;
    waiting.delete(next);
    void start(next, nextEntry);
  };

  const leave = (host: string, entry: Asked): void => {
    entry.askers -= 1;
    if (entry.askers > 0) return;
    // By now another entry may stand under this name.
    if (names.get(host) === entry && waiting.delete(host)) names.delete(host);
  };

  return async (host, signal) => {
    signal.throwIfAborted();
    let entry = names.get(host);
    if (entry === undefined) {
      const runs = names.size - waiting.size < limits.runningMax;
      if (!runs && waiting.size >= limits.waitingMax) {
        throw new LookupOverloadError(`too many names are being looked up: ${waiting.size} wait already`);
      }
      entry = { answer: Promise.withResolvers(), askers: 0 };
      // A name that everybody has left may fail unseen.
      entry.answer.promise.catch(() => {});
      names.set(host, entry);
      if (runs) void start(host, entry);
      else waiting.add(host);
    }
    const asked = entry;
    asked.askers += 1;
    const left = Promise.withResolvers<never>();
    const onAbort = (): void => left.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([asked.answer.promise, left.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      leave(host, asked);
    }
  };
}
