/**
 * The settings of `netwall-gateway page`.
 *
 * @module
 */
import { z } from "zod";
import { flagsOnly } from "../settings.ts";
import { connection } from "./firewall_config.ts";
import { choice } from "./units.ts";

/** The settings of `netwall-gateway page`. */
export const pageConfig = z.strictObject({
  ...flagsOnly({
    role: choice("viewer", "operator").optional().describe(
      "viewer may see, operator may change; the role of the token when it is left out",
    ),
  }),
  ...connection,
});
