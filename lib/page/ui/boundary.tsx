/**
 * Keeps a fault in one part of the page from taking the rest along, and says so in its place.
 *
 * @module
 */
import { Component, type ComponentChildren } from "preact";

export interface BoundaryProps {
  /** Such as `map`; another one begins anew. */
  readonly part: string;
  readonly children?: ComponentChildren;
}

export class Boundary extends Component<BoundaryProps, { fault: string }> {
  override state = { fault: "" };

  override componentDidCatch(error: unknown): void {
    this.setState({ fault: error instanceof Error ? error.message : String(error) });
    // For the console of the browser, where a report can be copied from.
    globalThis.reportError(error);
  }

  override componentDidUpdate(before: BoundaryProps): void {
    if (before.part !== this.props.part && this.state.fault !== "") this.setState({ fault: "" });
  }

  override render({ part, children }: BoundaryProps): ComponentChildren {
    const { fault } = this.state;
    if (fault === "") return children;
    return (
      <div class="empty" role="alert">
        <p class="empty-title">The page failed to show this: {part}</p>
        <p>{fault}</p>
        <p>The gateway is not touched by it, and its commands tell the same. Load the page again to go on.</p>
        <button type="button" onClick={() => this.setState({ fault: "" })}>Try again</button>
      </div>
    );
  }
}
