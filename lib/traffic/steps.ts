/**
 * Long work in steps: it yields wherever it may pause, so that the traffic goes on in between.
 *
 * @module
 */

/** Work that pauses at every `yield`, and returns what it has made. */
export type Steps<T> = Generator<void, T, void>;

/** Does a piece of work when there is time for it. */
export type Turn = <T>(work: () => T) => Promise<Awaited<T>>;

/** How long a piece may take. A step is shorter: one goes over it by some milliseconds at most. */
const PIECE_MS = 5;

/** Does all of it at once. */
export function inOneGo<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Does it piece by piece, each in a turn of its own. */
export async function inTurns<T>(steps: Steps<T>, turn: Turn): Promise<T> {
  for (;;) {
    const step = await turn(() => {
      const startMs = performance.now();
      for (;;) {
        const step = steps.next();
        if (step.done === true || performance.now() - startMs >= PIECE_MS) return { step };
      }
    });
    if (step.step.done === true) return step.step.value;
  }
}
