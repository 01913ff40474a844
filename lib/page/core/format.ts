/**
 * Numbers, sizes and moments as people read them.
 *
 * @module
 */

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** Such as `1,234` or `12.3 k`. */
export function count(value: number): string {
  if (value < 10_000) return COUNT.format(Math.round(value * 10) / 10);
  const units = [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const;
  const [size, unit] = units.find(([size]) => value >= size)!;
  return `${COUNT.format(value / size)} ${unit}`;
}

/** Such as `12.3 KiB`. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at++;
  }
  return `${COUNT.format(value)} ${units[at]}`;
}

/** A length of time in its largest fitting unit, such as `12 ms`, `3.4 s`, `5 min`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${ms < 10 ? COUNT.format(ms) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${COUNT.format(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${Math.round(ms / 3_600_000)} h`;
  return `${Math.round(ms / 86_400_000)} days`;
}

/** Such as `5 s ago`; moments of the last second are `now`. */
export function ago(ms: number, nowMs: number): string {
  const past = nowMs - ms;
  return past < 1_000 ? "now" : `${duration(past)} ago`;
}

const two = (value: number): string => String(value).padStart(2, "0");

/** Of the day, where the user is, such as `14:03:59`. */
export function clock(ms: number): string {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** With the day, such as `2026-01-31 14:03:59`. */
export function moment(ms: number): string {
  const at = new Date(ms);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock(ms)}`;
}

/** Clock when it was today, else with the day. */
export function shortMoment(ms: number, nowMs: number): string {
  return new Date(ms).toDateString() === new Date(nowMs).toDateString() ? clock(ms) : moment(ms);
}

/** `1 event`, `2 events`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
