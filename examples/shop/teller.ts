/**
 * Tells the story of the demo on a terminal, and stops it at the first thing that is not as it is told.
 *
 * @module
 */

/** Something is not as the story says. The message is for whoever watches. */
export class StoryFault extends Error {
  override name = "StoryFault";
}

export class Teller {
  readonly #write: (line: string) => void;
  readonly #colours: boolean;
  #checks = 0;

  constructor(write: (line: string) => void, colours: boolean) {
    this.#write = write;
    this.#colours = colours;
  }

  /** What was checked so far. */
  get checks(): number {
    return this.#checks;
  }

  /** A new part begins. */
  step(title: string): void {
    this.#write(`\n${this.#in("1", title)}`);
  }

  /** Says something that needs no proof. */
  say(text: string): void {
    this.#write(`  ${text}`);
  }

  /** What a command or an event said, word for word. */
  quote(text: string, linesMax = 12): void {
    const lines = text.trimEnd().split("\n");
    for (const line of lines.slice(0, linesMax)) this.#write(this.#in("2", `    | ${line}`));
    if (lines.length > linesMax) this.#write(this.#in("2", `    | … ${lines.length - linesMax} lines more`));
  }

  /** @param detail What is there instead. @throws {StoryFault} When it does not hold. */
  check(text: string, holds: boolean, detail: unknown): void {
    if (!holds) throw new StoryFault(`${text}: it is not so, there is ${JSON.stringify(detail)}`);
    this.#checks += 1;
    this.#write(`  ${this.#in("32", "✓")} ${text}`);
  }

  /** The end of a story that failed. */
  failed(text: string): void {
    this.#write(`  ${this.#in("31", "✗")} ${text}`);
  }

  #in(code: string, text: string): string {
    return this.#colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}

/**
 * Asks again until the answer is what is wanted.
 *
 * @throws {StoryFault} With the last answer, when the time is up.
 */
export async function until<T>(
  text: string,
  ask: () => Promise<T>,
  wanted: (value: T) => boolean,
  timeoutMs = 30_000,
): Promise<T> {
  const deadlineMs = Date.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (wanted(value)) return value;
    if (Date.now() > deadlineMs) {
      const shown = JSON.stringify(value)?.slice(0, 2_000);
      throw new StoryFault(`${text}: not after ${timeoutMs / 1000} seconds, the last answer was ${shown}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
