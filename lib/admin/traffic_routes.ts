/**
 * Routes of traffic: how much each service has, the last requests, recording them, and sending one once more.
 *
 * @module
 */
import { z } from "zod";
import { BODY_BYTES_DEFAULT, BODY_BYTES_MAX, RECORDING_MINUTES_MAX } from "../traffic/recordings.ts";
import { printable } from "../printable.ts";
import { SERVICE_NAME_CHARS_MAX } from "../service_name.ts";
import { trafficOf } from "./backend.ts";
import { jsonBody } from "./body.ts";
import { COUNT_MAX, limitSchema, wholeNumber } from "./query.ts";
import { type Route, route } from "./route.ts";
import {
  recordingSchema,
  replaySchema,
  requestRecordSchema,
  requestSummarySchema,
  trafficSchema,
  windowSchema,
} from "./traffic_schemas.ts";

/** The longest name in the book: `egress/` and the name of an agent. */
const NAME_CHARS_MAX = 256;
const NAME = z.string().max(NAME_CHARS_MAX);

/** Services that are written in one turn: the 14 MB of a thousand of them would hold everybody up. */
const SERVICES_PER_TURN = 32;

const traffic = route({
  id: "readTraffic",
  method: "get",
  path: "/api/v1/traffic",
  summary: "How much traffic each service has: requests, statuses, latencies and bytes over time",
  role: "viewer",
  query: z.strictObject({
    window: windowSchema.optional().transform((window) => window ?? "5m")
      .describe("In steps of 1 s, 10 s or 5 min; 5m when it is left out"),
    service: NAME.optional().describe("That one alone"),
  }),
  answer: { description: "Columns: one value a step", schema: trafficSchema },
  handle: async ({ backend, query: { window, service }, answerHeaders, turn }) => {
    const traffic = await trafficOf(backend).traffic(window, service, turn);
    if (traffic.services.length <= SERVICES_PER_TURN) return traffic;
    const parts: string[] = [];
    for (let from = 0; from < traffic.services.length; from += SERVICES_PER_TURN) {
      const some = traffic.services.slice(from, from + SERVICES_PER_TURN);
      parts.push(await turn(() => printable(JSON.stringify(some).slice(1, -1))));
    }
    const head = JSON.stringify({ ...traffic, services: [] }).replace(/\]\}$/, "");
    answerHeaders.set("Content-Type", "application/json");
    return new Response(`${head}${parts.join(",")}]}\n`, { headers: answerHeaders });
  },
});

const requests = route({
  id: "listRequests",
  method: "get",
  path: "/api/v1/requests",
  summary: "The last requests, the newest first",
  description: "At most 200 of each service are kept, in memory. Raw connections are not among them.",
  role: "viewer",
  query: z.strictObject({
    service: NAME.optional().describe("Empty for those without a route"),
    status: z.string().regex(/^(?:[1-9]xx|[1-9]\d\d|none)$/, "write 404, 5xx, or none").optional()
      .describe("A status such as 404, a class such as 5xx, or none where no head was sent"),
    limit: limitSchema,
    before: wholeNumber(1, COUNT_MAX).optional().describe("The next of the page before"),
  }),
  answer: {
    description: "A page; next is what to give as before, and absent on the last one",
    schema: z.object({ items: z.array(requestSummarySchema), next: z.string().optional() }),
  },
  handle: ({ backend, query, turn }) => trafficOf(backend).requests(query, turn),
});

const requestId = z.object({ id: z.string().regex(/^[\x21-\x7e]{1,64}$/) });

const request = route({
  id: "readRequest",
  method: "get",
  path: "/api/v1/requests/{id}",
  summary: "One request: its heads, and for operators its bodies where they were recorded",
  role: "viewer",
  params: requestId,
  answer: { description: "The request; secret values are masked", schema: requestRecordSchema },
  handle: ({ backend, params, actor, turn }) =>
    trafficOf(backend).request(params.id, actor.role === "operator", turn),
});

const service = z.string().min(1).max(SERVICE_NAME_CHARS_MAX);

const recordings = route({
  id: "listRecordings",
  method: "get",
  path: "/api/v1/recording",
  summary: "The services whose bodies are recorded now",
  role: "viewer",
  answer: { description: "All of them", schema: z.object({ items: z.array(recordingSchema) }) },
  handle: ({ backend }) => ({ items: trafficOf(backend).recordings() }),
});

const record = route({
  id: "startRecording",
  method: "put",
  path: "/api/v1/recording",
  summary: "Records the bodies of a service for a while; it stops by itself",
  description:
    "Also puts other bounds on one that is on. What was recorded stays until newer requests take its place.",
  role: "operator",
  body: jsonBody(z.strictObject({
    service,
    minutes: z.int().min(1).max(RECORDING_MINUTES_MAX),
    bodyBytesMax: z.int().min(1).max(BODY_BYTES_MAX).optional()
      .describe(`Of each body that is kept; ${BODY_BYTES_DEFAULT} when it is left out`),
  })),
  answer: { description: "It is on", schema: recordingSchema },
  handle: ({ backend, actor, body: { bodyBytesMax = BODY_BYTES_DEFAULT, ...rest } }) =>
    trafficOf(backend).record({ ...rest, bodyBytesMax }, actor),
});

const stop = route({
  id: "stopRecording",
  method: "delete",
  path: "/api/v1/recording",
  summary: "Records the bodies of a service no longer",
  role: "operator",
  query: z.strictObject({ service }),
  answer: { description: "It is off" },
  handle: ({ backend, actor, query }) => trafficOf(backend).stopRecording(query.service, actor),
});

const replay = route({
  id: "replayRequest",
  method: "post",
  path: "/api/v1/requests/{id}/replay",
  summary: "Sends a request once more, as whoever sent it, and compares the answers",
  description:
    "The policy judges it as it is now. Fields with secrets are sent only if they were recorded. A request with a " +
    "body, or with a secret in its query, can be sent again only if it was recorded whole.",
  role: "operator",
  params: requestId,
  answer: { description: "Both answers, and how they differ", schema: replaySchema },
  handle: ({ backend, params, actor, turn }) => trafficOf(backend).replay(params.id, actor, turn),
});

export const TRAFFIC_ROUTES: readonly Route[] = [
  traffic,
  requests,
  request,
  recordings,
  record,
  stop,
  replay,
];
