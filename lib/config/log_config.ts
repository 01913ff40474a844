/**
 * The settings of the log, the same for gateway and agent.
 *
 * @module
 */

import { z } from "zod";
import { choice, toggle } from "./units.ts";

export const logConfig = z.strictObject({
  level: choice("debug", "info", "warn", "error").prefault("info").describe("Least level that is logged"),
  format: choice("auto", "line", "json").prefault("auto")
    .describe("Log lines for people, JSON, or auto: lines on a terminal and JSON elsewhere"),
  access: toggle().default(false).describe("Log one line per request"),
}).prefault({}).describe("The log on standard error").meta({ flagPrefix: "log-" });

export type LogConfig = z.output<typeof logConfig>;
