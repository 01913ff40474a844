/**
 * What the view of traffic reads from the admin API, by the schemas that the API answers with.
 *
 * @module
 */
import type { z } from "zod";
import type {
  recordingSchema,
  replaySchema,
  requestRecordSchema,
  requestSummarySchema,
  trafficSchema,
} from "../../admin/traffic_schemas.ts";

export type Traffic = z.output<typeof trafficSchema>;
export type ServiceTraffic = Traffic["services"][number];
export type WindowName = Traffic["window"];
export type RequestSummary = z.output<typeof requestSummarySchema>;
export type RequestRecord = z.output<typeof requestRecordSchema>;
export type ShownMessage = RequestRecord["request"];
export type ShownField = ShownMessage["fields"][number];
export type ShownBody = NonNullable<ShownMessage["body"]>;
export type Recording = z.output<typeof recordingSchema>;
export type ReplayReport = z.output<typeof replaySchema>;
export type ReplayedAnswer = ReplayReport["answer"];
