/**
 * One event as a row of the table.
 *
 * @module
 */
import { Component, type ComponentChildren, type JSX } from "preact";
import { count, shortMoment } from "../core/format.ts";
import type { NetwallEvent } from "../core/types.ts";
import { Badge } from "../ui/badge.tsx";
import { cellsOf, pendingText, shortId } from "./words.ts";

export interface EventRowProps {
  readonly event: NetwallEvent;
  readonly isChosen: boolean;
  readonly onOpen: (id: string) => void;
}

/** A row is drawn anew only when its event is another: in a flood that is a few of two hundred. */
export class EventRow extends Component<EventRowProps> {
  override shouldComponentUpdate(next: EventRowProps): boolean {
    return next.event !== this.props.event || next.isChosen !== this.props.isChosen;
  }

  override render({ event, isChosen, onOpen }: EventRowProps): JSX.Element {
    const { container, host, image, source, destination, rule, type, what, message } = cellsOf(event);
    const pending = pendingText(event);
    const time = shortMoment(event.time, Date.now());
    return (
      <tr
        role="row"
        class={`event-row is-${event.effect}${isChosen ? " chosen" : ""}`}
        onClick={() => {
          // Whoever marks text to copy it does not want to open anything.
          if (String(getSelection()) === "") onOpen(event.id);
        }}
      >
        <Cell name="time">
          <button
            type="button"
            class="event-open"
            aria-pressed={isChosen}
            aria-label={`Event ${shortId(event.id)}, ${time}: ${message}`}
            onClick={(click) => {
              click.stopPropagation();
              onOpen(event.id);
            }}
          >
            {time}
          </button>
        </Cell>
        <Cell name="effect">
          <Badge word={event.effect} title={`${event.verdict}${pending === "" ? "" : `; ${pending}`}`} />
          {event.severity === "critical" && <Badge word="critical" />}
        </Cell>
        <Cell name="what">
          <span class="event-clamp" title={message}>
            <span class="event-type">{type}:</span> {what}
          </span>
        </Cell>
        <Cell name="container" text={container} />
        <Cell name="host" text={host} />
        <Cell name="image" text={image} />
        <Cell name="source" text={source} />
        <Cell name="destination" text={destination} />
        <Cell name="rule" text={rule} />
        <Cell name="count" text={`${count(event.count)}×`} />
      </tr>
    );
  }
}

function Cell(
  { name, text, children }: {
    readonly name: string;
    readonly text?: string;
    readonly children?: ComponentChildren;
  },
): JSX.Element {
  return (
    <td role="cell" class={`event-${name}`} title={text}>
      {text === undefined ? children : <span class="event-clamp">{text}</span>}
    </td>
  );
}
