/**
 * Looks after the wall while the agent runs: what listens in its network namespace, at the start and every minute.
 *
 * @module
 */
import type { Logger } from "../log.ts";
import { auditWall, type WallReport } from "../seal/wall.ts";
import { wallFields } from "../seal/wall_report.ts";

/** How often it looks. */
export const AUDIT_INTERVAL_MS = 60_000;

/** What a report of a wall that is not looked at says. */
export const NOT_LOOKED_AT = "not looked at: --audit-wall=false";

/** How often while the wall is broken and nothing is served because of it: an operator waits for the cure to show. */
export const AUDIT_BROKEN_INTERVAL_MS = 5_000;

export interface WallWatchOptions {
  readonly log: Logger;
  /** Whether nothing may be served while the wall is not whole. */
  readonly required: boolean;
  /** There is a new report: flat names and values for the gateways. */
  onReport(fields: string[]): void;
  /** Whether to look at all. If not, the wall is reported as unknown once, and there is nothing to log. @default true */
  readonly looks?: boolean;
  /** @default auditWall */
  readonly audit?: () => Promise<WallReport>;
}

export class WallWatch {
  readonly #options: WallWatchOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #state: WallReport["state"] = "unknown";
  #fields: string[] | undefined;
  #stopped = false;
  readonly #serving = Promise.withResolvers<void>();

  /** Settles when services may be served for the first time. */
  readonly serving: Promise<void> = this.#serving.promise;

  constructor(options: WallWatchOptions) {
    this.#options = options;
    if (this.mayServe) this.#serving.resolve();
  }

  /** Looks for the first time; settles when it has. */
  async start(): Promise<void> {
    if (this.#options.looks ?? true) return await this.#look();
    this.#fields = wallFields({
      ...{ state: "unknown", listeners: [], listenersTotal: 0, exposedTotal: 0 },
      faults: [NOT_LOOKED_AT],
    });
    this.#options.onReport(this.#fields);
  }

  /** Whether services may be served now. */
  get mayServe(): boolean {
    return !this.#options.required || this.#state === "whole";
  }

  /** The last report, for a link that has just been made. */
  get fields(): string[] | undefined {
    return this.#fields;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { audit = auditWall, onReport } = this.#options;
    const before = this.#fields === undefined ? undefined : this.#state;
    const report = await audit();
    if (this.#stopped) return;
    this.#state = report.state;
    this.#fields = wallFields(report);
    if (this.mayServe) this.#serving.resolve();
    if (before !== report.state) this.#tell(report, before);
    onReport(this.#fields);
    const waitMs = this.mayServe ? AUDIT_INTERVAL_MS : AUDIT_BROKEN_INTERVAL_MS;
    this.#timer = setTimeout(() => void this.#look(), waitMs);
    this.#timer.unref?.();
  }

  #tell(report: WallReport, before: WallReport["state"] | undefined): void {
    const { log, required } = this.#options;
    const serving = required ? "nothing is served until it is whole" : "it is served all the same";
    if (report.state === "broken") {
      const exposed = values(this.#fields!, "exposed");
      log[required ? "error" : "warn"](`the wall is broken, ${serving}: netwall-agent audit tells more`, {
        exposed,
      });
    } else if (report.state === "unknown") {
      log.warn(`the wall cannot be looked at, ${serving}`, { faults: report.faults.join("; ") });
    } else if (before !== undefined) {
      log.info("the wall is whole again");
    }
  }
}

function values(fields: readonly string[], name: string): string {
  return fields.filter((_, index) => index % 2 === 1 && fields[index - 1] === name).join(", ");
}
