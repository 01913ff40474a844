/**
 * Reads a stream of server-sent events, however it is cut into chunks.
 *
 * One event is bounded: a stream that never ends one must not fill the memory.
 *
 * Source: HTML Living Standard §9.2.6 "Interpreting an event stream".
 *
 * @module
 */

/** The longest event, in characters with all its lines; netwall's own are below 64 Ki. */
export const SERVER_EVENT_CHARS_MAX = 1 << 20;

export interface ServerEvent {
  /** `message` when the stream names none. */
  readonly name: string;
  readonly data: string;
  /** The last id that the stream gave, this one's or one before; empty when it gave none. */
  readonly id: string;
}

/** The stream is none, or has an event over the bound. */
export class EventStreamError extends Error {
  override name = "EventStreamError";
}

export class EventStreamParser {
  readonly #decoder = new TextDecoder();
  #rest = "";
  /** A carriage return ended the last line: a line feed right after it belongs to it. */
  #afterReturn = false;
  #name = "";
  #data: string[] = [];
  #chars = 0;
  #id = "";

  /**
   * Takes bytes and returns the events that they complete. An event that is not ended by an empty line is none.
   *
   * @throws {EventStreamError} An event over `SERVER_EVENT_CHARS_MAX`.
   */
  push(chunk: Uint8Array): ServerEvent[] {
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === "") return [];
    if (this.#afterReturn && text.startsWith("\n")) text = text.slice(1);
    this.#afterReturn = text.endsWith("\r");
    // A long line in many chunks is not searched again with each.
    if (!/[\r\n]/.test(text)) {
      this.#rest += text;
      if (this.#rest.length + this.#chars > SERVER_EVENT_CHARS_MAX) throw tooLong();
      return [];
    }
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop() ?? "";
    const events = lines.flatMap((line) => this.#take(line));
    if (this.#rest.length + this.#chars > SERVER_EVENT_CHARS_MAX) throw tooLong();
    return events;
  }

  #take(line: string): ServerEvent[] {
    if (line === "") return this.#dispatch();
    // A comment: what keeps a silent stream alive.
    if (line.startsWith(":")) return [];
    this.#chars += line.length;
    if (this.#chars > SERVER_EVENT_CHARS_MAX) throw tooLong();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (field === "event") this.#name = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return [];
  }

  #dispatch(): ServerEvent[] {
    const event = { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id };
    const empty = this.#data.length === 0;
    this.#name = "";
    this.#data = [];
    this.#chars = 0;
    return empty ? [] : [event];
  }
}

function tooLong(): EventStreamError {
  return new EventStreamError(`an event of the stream is over ${SERVER_EVENT_CHARS_MAX} characters`);
}
