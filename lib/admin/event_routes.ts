/**
 * Routes of events: lists, files, one of them, and the live stream.
 *
 * @module
 */
import { z } from "zod";
import { eventSchema } from "../events/event.ts";
import { ruleSchema } from "../policy/document.ts";
import { firewallOf } from "./backend.ts";
import { exportEvents } from "./event_export.ts";
import { readPage } from "./event_pages.ts";
import { ApiFault } from "./fault.ts";
import {
  COUNT_MAX,
  type EventFilter,
  eventFilterSchema,
  eventQueryOf,
  limitSchema,
  wholeNumber,
} from "./query.ts";
import { type Call, type Route, route } from "./route.ts";

const list = route({
  id: "listEvents",
  method: "get",
  path: "/api/v1/events",
  summary: "Events, the newest first",
  description:
    "All filters that are given must hold. A stream that is opened with after=seq misses none that came since.",
  role: "viewer",
  query: eventFilterSchema.extend({ limit: limitSchema }),
  answer: {
    description: "A page; next is what to give as before, and absent on the last one",
    schema: z.object({
      items: z.array(eventSchema),
      next: z.string().optional(),
      seq: z.int().describe("From where the live stream goes on"),
    }),
  },
  handle: async ({ backend, query: { limit, ...filter }, turn }) => {
    const { store } = firewallOf(backend);
    const seq = store.lastSeq();
    return { ...await readPage(store, eventQueryOf(filter, limit), turn), seq };
  },
});

const eventId = z.object({ id: z.string().regex(/^[\x21-\x7e]{1,64}$/) });

const read = route({
  id: "readEvent",
  method: "get",
  path: "/api/v1/events/{id}",
  summary: "One event",
  role: "viewer",
  params: eventId,
  answer: { description: "The event", schema: eventSchema },
  handle: ({ backend, params }) => {
    const event = firewallOf(backend).store.event(params.id);
    if (event !== undefined) return event;
    throw new ApiFault(404, "There is no such event: it may have been deleted for its age");
  },
});

const allow = route({
  id: "allowEvent",
  method: "post",
  path: "/api/v1/events/{id}/allow",
  summary: "Allows what an event was about, for its image and namespace",
  role: "operator",
  params: eventId,
  answer: {
    status: 201,
    description: "The new rule, in front of all others",
    schema: z.object({ rule: ruleSchema }),
  },
  handle: ({ backend, actor, params }) => ({ rule: firewallOf(backend).allowEvent(params.id, actor) }),
});

const MEDIA = { ndjson: "application/x-ndjson", csv: "text/csv" } as const;

function exportRoute(format: "ndjson" | "csv", id: string, what: string): Route {
  return route({
    id,
    method: "get",
    path: `/api/v1/events.${format}`,
    summary: `Events as a file: ${what}`,
    description: "Its last line says so when there are more events than one file holds.",
    role: "viewer",
    query: eventFilterSchema,
    answer: { description: "The newest event first", media: MEDIA[format] },
    handle: async (call) => {
      const { answerHeaders } = call;
      answerHeaders.set("Content-Type", `${MEDIA[format]}; charset=utf-8`);
      answerHeaders.set("Content-Disposition", `attachment; filename="netwall-events.${format}"`);
      return new Response(await exportStream(call, format), { headers: answerHeaders });
    },
  });
}

function exportStream(
  { backend, query, caller, cut, turn }: Call<unknown, EventFilter, undefined>,
  format: "ndjson" | "csv",
): Promise<ReadableStream<Uint8Array>> {
  const { store } = firewallOf(backend);
  return exportEvents({
    format,
    cut,
    page: (limit, before = query.before) => {
      // An export takes its time: a token may be revoked meanwhile.
      if (!caller.isGood()) throw new ApiFault(401, "The token does not hold any more");
      return readPage(store, eventQueryOf({ ...query, before }, limit), turn);
    },
  });
}

const stream = route({
  id: "streamEvents",
  method: "get",
  path: "/api/v1/stream",
  summary: "What is noticed, as it is noticed: server-sent events",
  description:
    "`event: event` has an Event as its data and its seq as id; `event: edge` an Edge; `event: policy` " +
    "{version}; `event: ready` {seq, version} once all that was missed has come; `event: lost` {reason} when " +
    "something may be missing, so that lists must be read anew. Last-Event-ID, or after, resumes without a gap.",
  role: "viewer",
  query: z.strictObject({
    after: wholeNumber(0, COUNT_MAX).optional().describe("The seq of the last event that is known"),
  }),
  answer: { description: "It does not end by itself", media: "text/event-stream" },
  handle: ({ backend, query, headers, caller, cut, answerHeaders }) => {
    firewallOf(backend);
    const last = headers.get("last-event-id") ?? "";
    // A browser that comes back knows better than the address that it was given first.
    const after = /^\d{1,15}$/.test(last) ? Number(last) : query.after;
    const body = backend.live?.open({
      ...(after === undefined ? {} : { after }),
      isGood: () => caller.isGood(),
      cut: () => cut?.(),
    });
    if (body === undefined) {
      const detail = "There are too many streams, or the gateway stops: close others, or wait";
      throw new ApiFault(503, detail, undefined, { "Retry-After": "10" });
    }
    answerHeaders.set("Content-Type", "text/event-stream; charset=utf-8");
    // nginx gathers answers into buffers unless it is told not to.
    answerHeaders.set("X-Accel-Buffering", "no");
    return new Response(body, { headers: answerHeaders });
  },
});

export const EVENT_ROUTES: readonly Route[] = [
  list,
  exportRoute("ndjson", "exportEventsNdjson", "one JSON object in a line"),
  exportRoute("csv", "exportEventsCsv", "a table for a spreadsheet"),
  read,
  allow,
  stream,
];
