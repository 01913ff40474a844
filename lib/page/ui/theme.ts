/**
 * Light or dark: what the system says, or what the user has chosen. The choice is all that the page keeps.
 *
 * @module
 */
import { effect, signal } from "@preact/signals";

export type Theme = "light" | "dark";
const KEY = "netwall-theme";

/** What is shown. */
export const theme = signal<Theme>("light");
const chosen = signal<Theme | undefined>(undefined);

/** Called once. */
export function startTheme(): void {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  try {
    const kept = localStorage.getItem(KEY);
    if (kept === "light" || kept === "dark") chosen.value = kept;
  } catch {
    // A browser that keeps nothing shows what the system says.
  }
  const show = (): void => {
    theme.value = chosen.value ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset["theme"] = theme.value;
  };
  dark.addEventListener("change", show);
  effect(show);
}

export function toggleTheme(): void {
  chosen.value = theme.value === "dark" ? "light" : "dark";
  try {
    localStorage.setItem(KEY, chosen.value);
  } catch {
    // It holds until the page is closed.
  }
}
