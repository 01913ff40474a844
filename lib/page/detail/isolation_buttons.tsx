/**
 * Isolates a workload at a press, and lets it back in: for the one who is woken at night.
 *
 * @module
 */
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { ask } from "../core/api.ts";
import type { Change } from "../core/change.ts";
import { isOperator } from "../core/session.ts";
import { nowMs, policyVersion } from "../core/state.ts";
import type { Link, PolicyDocument, PolicyVersion } from "../core/types.ts";
import { visible } from "../core/visible.ts";
import { Badge } from "../ui/badge.tsx";
import { propose } from "../ui/change_dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { VIEWER_WORDS } from "./edge_buttons.tsx";
import { isolate, type Isolation, isolationOf, liftIsolation } from "./isolation.ts";
import { useReading } from "./use_reading.ts";

/** Every version is read when it comes into force; this is for what was missed. */
const POLICY_EVERY_MS = 60_000;
/** Ids that are named; the rest is counted. */
const HOLES_SHOWN_MAX = 3;

export function IsolationButtons(
  { id, links }: { readonly id: string; readonly links: readonly Link[] },
): JSX.Element {
  const { value, fault } = useReading(
    String(policyVersion.value),
    POLICY_EVERY_MS,
    (signal) => ask<PolicyVersion>("GET", "/policy", { signal }),
  );
  // What was read last stays while a new version is read: the button that has the focus must not go away.
  const last = useRef<PolicyDocument | undefined>(undefined);
  if (value !== undefined) last.current = value.document;
  const isolation = last.current && isolationOf(id, last.current, nowMs.value);
  const isWhole = isolation?.isWhole === true;
  const isDisabled = !isOperator() || isolation === undefined;
  const title = isOperator() ? undefined : VIEWER_WORDS;
  const isOpen = links.some(({ wall }) => wall.state === "broken");
  const again = (): Change => isolate(id, isOpen);
  return (
    <div class="isolation">
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {isolation && <State isolation={isolation} isOpen={isOpen} />}
      <div class="toolbar">
        <button
          type="button"
          class={isWhole ? "" : "danger"}
          title={title}
          disabled={isDisabled}
          onClick={() => propose(isWhole ? liftIsolation(id) : again())}
        >
          <Icon name={isWhole ? "check" : "cross"} /> {isWhole ? "Lift isolation…" : "Isolate…"}
        </button>
        {isWhole && isolation.holes.length > 0 && (
          <button
            type="button"
            class="danger"
            title={title}
            disabled={isDisabled}
            onClick={() => propose(again())}
          >
            <Icon name="cross" /> Isolate anew…
          </button>
        )}
      </div>
    </div>
  );
}

interface StateProps {
  readonly isolation: Isolation;
  /** Its wall is broken. */
  readonly isOpen: boolean;
}

function State({ isolation: { rules, isWhole, holes }, isOpen }: StateProps): JSX.Element | null {
  const [first] = rules;
  if (first === undefined) return null;
  const more = holes.length - HOLES_SHOWN_MAX;
  return (
    <>
      <p>
        <Badge word="prevent" label={isWhole ? "isolated" : "isolated in part"} />{" "}
        {isWhole ? "Whatever it calls, and whatever calls it, is refused." : `${halfWords(first)}.`}
      </p>
      {isOpen && <p class="warning">Its wall is broken: what goes past the gateway is not held back.</p>}
      {holes.length > 0 && (
        <p class="warning">
          Rules in front of it may let some through: {holes.slice(0, HOLES_SHOWN_MAX).map(visible).join(", ")}
          {more > 0 ? ` and ${more} more` : ""}
        </p>
      )}
    </>
  );
}

function halfWords({ source }: { readonly source: object }): string {
  return Object.keys(source).length > 0
    ? "What it calls is refused, but not what calls it"
    : "What calls it is refused, but not what it calls";
}
