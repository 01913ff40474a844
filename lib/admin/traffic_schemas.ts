/**
 * The shapes of what the admin API answers about traffic.
 *
 * @module
 */
import { z } from "zod";
import type { RequestSummary } from "../traffic/kept_request.ts";
import type { Recording } from "../traffic/recordings.ts";
import type { ShownBody } from "../traffic/shown_body.ts";
import type { Traffic } from "../traffic/traffic_book.ts";
import type { ReplayReport, RequestRecord, ShownMessage } from "./traffic_control.ts";

const ms = z.number().describe("Milliseconds since 1970");
const took = z.number().describe("In ms");
const column = z.array(z.number());
const latency = z.array(z.number().nullable()).describe(
  "In ms, at most 5 % off; null where nothing is known",
);

export const windowSchema = z.enum(["5m", "1h", "24h"]);

export const trafficSchema: z.ZodType<Traffic> = z.object({
  window: windowSchema,
  stepMs: z.number(),
  timesMs: z.array(ms).describe("When each step begins, the oldest first; the last one is under way"),
  services: z.array(z.object({
    service: z.string().describe(
      "Empty for requests without a route; egress/AGENT for calls to the outside; * for all that are too many",
    ),
    protocol: z.enum(["http", "tcp"]),
    requests: column.describe("One value a step. Raw connections count when they are over"),
    classes: z.record(z.string(), column).describe(
      "1xx to 5xx, and none where no head was sent; of connections closed and failed. All zero when absent",
    ),
    p50Ms: latency,
    p95Ms: latency,
    p99Ms: latency,
    inBytes: column.describe("From who asks"),
    outBytes: column.describe("To who asks"),
  })).describe("Those that had traffic in the window"),
});

const summaryFields = {
  id: z.string(),
  service: z.string().describe("Empty when no route was found"),
  agent: z.string().optional().describe("The one that was asked"),
  direction: z.enum(["north-south", "east-west"]),
  source: z.string().describe("The address of a visitor, or the id of the group that called"),
  atMs: ms,
  ms: took,
  method: z.string(),
  host: z.string(),
  target: z.string().describe("Path and query; secret values in it are masked"),
  status: z.int().describe("0 when no head was sent"),
  requestBytes: z.number(),
  responseBytes: z.number(),
  verdict: z.enum(["forwarded", "audited", "dropped"]).optional().describe("Absent when nothing was judged"),
  rule: z.string().optional(),
  failure: z.string().optional().describe("Why it was not answered, or not whole"),
  recorded: z.enum(["head", "bodies"]),
  replayOf: z.string().optional().describe("The id of the request that it repeats"),
};
export const requestSummarySchema: z.ZodType<RequestSummary> = z.object(summaryFields);

const bodySchema: z.ZodType<ShownBody> = z.object({
  bytes: z.number().describe("Of the whole body as it passed"),
  format: z.enum(["text", "base64", "hidden"]),
  content: z.string().describe("Decoded; secret values in a text are masked"),
  isCut: z.boolean().describe("There is more of it than is shown"),
  contentEncoding: z.string().optional().describe("As it was sent"),
  note: z.string().optional(),
});

const fields = z.array(z.object({ name: z.string(), value: z.string() }))
  .describe("In the order in which they came; secret values are masked");

const messageSchema: z.ZodType<ShownMessage> = z.object({
  fields,
  body: bodySchema.optional().describe("For operators, where it was recorded"),
});

export const requestRecordSchema: z.ZodType<RequestRecord> = z.object({
  ...summaryFields,
  request: messageSchema,
  response: messageSchema,
  isCut: z.boolean().describe("Fields are missing, as the heads were too long"),
});

export const recordingSchema: z.ZodType<Recording> = z.object({
  service: z.string(),
  untilMs: ms,
  bodyBytesMax: z.int().describe("Of each body"),
  by: z.string().describe("Who asked for it"),
});

const answer = z.object({
  status: z.int().describe("0 when there was none"),
  ms: took,
  fields,
  body: bodySchema.optional().describe("Absent when it is empty or was not recorded"),
});

export const replaySchema: z.ZodType<ReplayReport> = z.object({
  id: z.string().optional().describe("Of the request that was sent"),
  original: answer,
  answer,
  omitted: z.array(z.string()).describe("Fields that were left out, as their values were not recorded"),
  differences: z.array(z.object({
    part: z.string().describe("status, header NAME, body or bodyBytes"),
    before: z.string(),
    after: z.string(),
  })).describe("Without those that every answer has, such as Date"),
});
