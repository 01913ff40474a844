/**
 * The command that shows events: those that are stored, and with `follow` each new one until it is stopped.
 *
 * Following misses nothing: the stream is asked for all that came after what was printed, and again after it was cut.
 *
 * @module
 */
import { z } from "zod";
import { EVENT_TYPES, type EventEnd, eventSchema, type NetwallEvent } from "../events/event.ts";
import { didYouMean } from "../nearest.ts";
import { parseGroupId } from "../policy/flow.ts";
import { printable, quoted } from "../printable.ts";
import { holdsText, isOnHost } from "../store/event_text.ts";
import type { AdminClient } from "./client.ts";
import { AdminClientError, foreignAnswer, parseJson } from "./client_error.ts";
import { eventLine } from "./event_line.ts";
import { EventStreamError, EventStreamParser, type ServerEvent } from "./event_source.ts";

/**
 * What to show; texts but `text` are compared whole, an image also without its tag, and all that is given must hold.
 */
export interface EventFilter {
  readonly type?: string | undefined;
  readonly namespace?: string | undefined;
  readonly image?: string | undefined;
  readonly service?: string | undefined;
  readonly source?: string | undefined;
  readonly effect?: string | undefined;
  readonly verdict?: string | undefined;
  readonly severity?: string | undefined;
  /** What either end claims to be. */
  readonly host?: string | undefined;
  /** Is in the message, the path or a name. */
  readonly text?: string | undefined;
}

export interface EventsOptions {
  readonly filter: EventFilter;
  /** Only events that last happened within this time. */
  readonly sinceMs?: number | undefined;
  /** From 1 to `PAGE_MAX`. */
  readonly limit: number;
  readonly follow: boolean;
  /** Lines with all that they can hold. */
  readonly long: boolean;
  /** One JSON object in a line, as the gateway sent it. */
  readonly json: boolean;
}

/** Where lines go, and what ends the command. */
export interface EventsOutput {
  /** Takes whole lines; resolves when more may come. */
  write(text: string): Promise<void>;
  /** What is not an event: that the stream was cut, and that it is back. */
  note(text: string): void;
  readonly colors: boolean;
  /** Ends following: somebody stopped it, or nobody reads any more. */
  readonly stop: AbortSignal;
  /** Milliseconds since 1970. */
  nowMs(): number;
}

/** Pauses before the stream is asked for again: doubled each time, and reset once something came. */
export interface Pauses {
  readonly firstMs: number;
  readonly lastMs: number;
}

const PAUSES: Pauses = { firstMs: 500, lastMs: 15_000 };
const STREAM_HEAD_TIMEOUT_MS = 15_000;
/** The gateway sends a comment every 15 s: after so much silence nobody is there. */
const SILENCE_MS_MAX = 45_000;

/** `seq` is from where a stream goes on that misses nothing. */
const pageSchema = z.object({ items: z.array(z.unknown()), seq: z.int().optional() });

/** An event as it was sent, and as it was read. */
interface Received {
  readonly raw: unknown;
  readonly event: NetwallEvent;
}

/**
 * Prints events, the oldest first.
 *
 * @throws {AdminClientError} All codes; `invalid` for a type that is none. While it follows, only what asking again
 *   does not mend: a refused token, another API.
 */
export async function showEvents(
  client: AdminClient,
  options: EventsOptions,
  output: EventsOutput,
  pauses: Pauses = PAUSES,
): Promise<void> {
  checkType(options.filter.type);
  const { filter: { text: q, ...filter }, sinceMs, limit } = options;
  const since = sinceMs === undefined ? undefined : new Date(output.nowMs() - sinceMs).toISOString();
  const request = { method: "GET", path: "events", query: { ...filter, q, since, limit } } as const;
  const page = await client.json(request, pageSchema);
  const items = page.items.map((raw) => received(client, raw));
  const lines = items.toReversed().map((item) => lineOf(item, options, output));
  await output.write(lines.join(""));
  if (!options.follow) {
    if (items.length === 0 && !options.json) output.note("No event is as asked for");
    return;
  }
  const printed = new Map(items.map(({ event }) => [event.id, event.seq]));
  const seq = page.seq ?? Math.max(0, ...printed.values());
  await new Follower(client, options, output, pauses, printed).run(seq);
}

function checkType(type: string | undefined): void {
  if (type === undefined || EVENT_TYPES.some((it) => it === type)) return;
  const cure = didYouMean(type, EVENT_TYPES) || `: write one of ${EVENT_TYPES.join(", ")}`;
  throw new AdminClientError(`--type ${quoted(type)} is no type of events${cure}`, "invalid");
}

function received(client: AdminClient, raw: unknown): Received {
  const result = eventSchema.safeParse(raw);
  if (result.success) return { raw, event: result.data };
  throw foreignAnswer(
    client.at,
    `${printable(result.error.issues[0]?.path.join(".") ?? "an event")} of an event is not as expected`,
  );
}

function lineOf({ raw, event }: Received, options: EventsOptions, output: EventsOutput): string {
  // JSON escapes less than a terminal minds; what is escaped here is escaped the JSON way too.
  return options.json
    ? `${printable(JSON.stringify(raw))}\n`
    : `${eventLine(event, { colors: output.colors, long: options.long })}\n`;
}

/** Whether an event is as asked for; the stream brings all of them. Either end may be the one. */
export function matches(event: NetwallEvent, filter: EventFilter): boolean {
  const ends = [event.source, event.destination];
  const either = (field: "namespace" | "image" | "service", wanted: string | undefined): boolean =>
    wanted === undefined || ends.some((end) => end?.[field] === wanted);
  return (filter.type === undefined || event.type === filter.type) &&
    (filter.effect === undefined || event.effect === filter.effect) &&
    (filter.verdict === undefined || event.verdict === filter.verdict) &&
    (filter.severity === undefined || event.severity === filter.severity) &&
    (filter.source === undefined || event.source?.name === filter.source) &&
    (filter.host === undefined || isOnHost(event, filter.host)) &&
    (filter.text === undefined || holdsText(event, filter.text)) &&
    either("namespace", filter.namespace) && either("service", filter.service) &&
    (either("image", filter.image) || ends.some((end) => isOfImage(end, filter.image)));
}

/** Whether an end is of an image, whichever its tag: the name of its group has none. */
function isOfImage(end: EventEnd | undefined, wanted: string | undefined): boolean {
  return wanted !== undefined && end?.kind === "workload" && parseGroupId(end.name)?.image === wanted;
}

/** Reads the stream, and asks for the rest of it when it is cut. */
class Follower {
  readonly #client: AdminClient;
  readonly #options: EventsOptions;
  readonly #output: EventsOutput;
  readonly #pauses: Pauses;
  /** What the list held, by id; looked at until the stream is past it. */
  readonly #printed: Map<string, number>;
  #seq = 0;
  #pauseMs: number;
  #cut = false;

  constructor(
    client: AdminClient,
    options: EventsOptions,
    output: EventsOutput,
    pauses: Pauses,
    printed: Map<string, number>,
  ) {
    this.#client = client;
    this.#options = options;
    this.#output = output;
    this.#pauses = pauses;
    this.#printed = printed;
    this.#pauseMs = pauses.firstMs;
  }

  async run(seq: number): Promise<void> {
    const { stop } = this.#output;
    this.#seq = seq;
    for (;;) {
      try {
        if (!stop.aborted) await this.#read();
      } catch (error) {
        if (!stop.aborted && !isPassing(error)) throw error;
      }
      if (stop.aborted) return;
      if (!this.#cut) this.#output.note("The stream of events was cut, asking for the rest of it");
      this.#cut = true;
      await pause(this.#pauseMs, stop);
      this.#pauseMs = Math.min(this.#pauses.lastMs, 2 * this.#pauseMs);
    }
  }

  /** Reads until the stream ends. */
  async #read(): Promise<void> {
    const silence = new AbortController();
    const signal = AbortSignal.any([this.#output.stop, silence.signal]);
    let timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(this.#seq) };
      const request = { method: "GET" as const, path: "stream", headers };
      const answer = await this.#client.stream(request, signal, STREAM_HEAD_TIMEOUT_MS);
      if (!/^text\/event-stream\b/i.test(String(answer.headers["content-type"] ?? ""))) {
        answer.destroy();
        throw foreignAnswer(this.#client.at, "it is no stream of events");
      }
      if (this.#cut) this.#output.note("The stream of events is back");
      this.#cut = false;
      const parser = new EventStreamParser();
      for await (const chunk of answer as AsyncIterable<Uint8Array>) {
        clearTimeout(timer);
        for (const event of parser.push(chunk)) await this.#take(event);
        this.#pauseMs = this.#pauses.firstMs;
        timer = setTimeout(() => silence.abort(), SILENCE_MS_MAX);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  async #take({ name, data, id }: ServerEvent): Promise<void> {
    // Also without an event: a gateway with another store says in this way from where it goes on.
    if (/^\d{1,15}$/.test(id)) this.#seq = Number(id);
    if (name === "lost") this.#noteLost(data);
    if (name !== "event") return;
    const item = received(this.#client, parseJson(data));
    const { event } = item;
    const known = this.#printed.get(event.id);
    if (known !== undefined) this.#printed.delete(event.id);
    if (matches(event, this.#options.filter) && (known === undefined || known < event.seq)) {
      await this.#output.write(lineOf(item, this.#options, this.#output));
    }
  }

  #noteLost(data: string): void {
    const reason = z.object({ reason: z.string().max(64) }).safeParse(parseJson(data)).data?.reason ??
      "unknown";
    // Then it ends the stream, and what it left out comes when the rest is asked for.
    if (reason === "too slow") return;
    this.#output.note(
      `Events may be missing here: the gateway says ${quoted(reason)}, see events without --follow`,
    );
  }
}

/** Whether asking again may help. An error of the stream itself says that it was cut. */
function isPassing(error: unknown): boolean {
  if (error instanceof AdminClientError) return error.code === "away";
  if (error instanceof EventStreamError) return true;
  return error instanceof Error && !(error instanceof TypeError || error instanceof RangeError);
}

function pause(ms: number, stop: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const end = (): void => resolve();
  stop.addEventListener("abort", end);
  return promise.finally(() => {
    clearTimeout(timer);
    stop.removeEventListener("abort", end);
  });
}
