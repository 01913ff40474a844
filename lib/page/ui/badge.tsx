/**
 * Words in a frame: modes, effects, verdicts, states. Each has a sign of its own, so that colour is never all there is.
 *
 * @module
 */
import type { JSX } from "preact";

/** The sign before a word, by what it says. */
const SIGNS: Readonly<Record<string, string>> = {
  learn: "◔",
  alert: "!",
  prevent: "⊘",
  allow: "✓",
  forwarded: "✓",
  audited: "!",
  dropped: "✕",
  learned: "✓",
  manual: "✓",
  unknown: "?",
  blocked: "✕",
  whole: "✓",
  broken: "✕",
  info: "i",
  warning: "!",
  critical: "‼",
  valid: "✓",
  expired: "✕",
  revoked: "✕",
};

export interface BadgeProps {
  /** A word of the API, such as `prevent`; anything else is shown as it is. */
  readonly word: string;
  /** What is shown in place of the word. */
  readonly label?: string;
  readonly title?: string | undefined;
}

export function Badge({ word, label = word, title }: BadgeProps): JSX.Element {
  const sign = Object.hasOwn(SIGNS, word) ? SIGNS[word] : undefined;
  return (
    <span class={`badge ${sign === undefined ? "" : `is-${word}`}`} title={title}>
      {sign !== undefined && <span aria-hidden="true" class="badge-sign">{sign}</span>}
      {label}
    </span>
  );
}
