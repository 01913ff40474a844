/**
 * What the page reads from the admin API, by the schemas that the API answers with.
 *
 * Types alone: nothing of the gateway is in the page.
 *
 * @module
 */
import type { z } from "zod";
import type { appliedSchema, linkSchema, statusSchema, tokenSchema } from "../../admin/schemas.ts";
import type { PolicyVersion } from "../../store/store.ts";

export type { Actor, BanView, GroupView } from "../../admin/control.ts";
export type { EventEnd, EventType, NetwallEvent } from "../../events/event.ts";
export type { ModelEdge, PolicyDocument, PolicyMode, PolicyRule } from "../../policy/document.ts";
export type { Direction } from "../../policy/flow.ts";
export type { Mode } from "../../policy/mode.ts";
export type { EdgeRecord } from "../../policy/record.ts";
export type { SimulationReport } from "../../policy/simulate.ts";
export type { PolicyVersion } from "../../store/store.ts";

export type Link = z.output<typeof linkSchema>;
export type Status = z.output<typeof statusSchema>;
export type Entry = NonNullable<Status["entry"]>;
export type Token = z.output<typeof tokenSchema>;
export type Applied = z.output<typeof appliedSchema>;
export type VersionSummary = Omit<PolicyVersion, "document">;

/** Who is logged in. */
export interface Session {
  readonly name: string;
  readonly role: "viewer" | "operator";
  /** At the latest, since 1970. */
  readonly expiresAtMs: number;
}
