/**
 * Reads server-sent events from the text of a stream, in whatever pieces it comes.
 *
 * The browser's own `EventSource` can send no header, and the API wants one from a page.
 *
 * Source: HTML Living Standard §9.2.6.
 *
 * @module
 */

export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** The longest line that is kept: an event of the firewall has at most some 30 KiB. */
export const LINE_CHARS_MAX = 1 << 20;

export class SseReader {
  #rest = "";
  #name = "";
  #data: string[] = [];

  /** @returns The events that are whole now. @throws {RangeError} A line is longer than any message can be. */
  push(text: string): ServerEvent[] {
    const found: ServerEvent[] = [];
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop()!;
    if (this.#rest.length > LINE_CHARS_MAX) throw new RangeError("The live stream sent a line without end");
    for (const raw of lines) {
      const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
      if (line === "") {
        if (this.#data.length > 0) found.push({ name: this.#name || "message", data: this.#data.join("\n") });
        this.#name = "";
        this.#data = [];
        continue;
      }
      const at = line.indexOf(":");
      const field = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? "" : line.slice(line[at + 1] === " " ? at + 2 : at + 1);
      if (field === "event") this.#name = value;
      if (field === "data") this.#data.push(value);
    }
    return found;
  }
}
