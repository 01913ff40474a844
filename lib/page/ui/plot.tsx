/**
 * A plot over time, with the same numbers as a table for who cannot see it.
 *
 * @module
 */
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock } from "../core/format.ts";
import { theme } from "./theme.ts";

export interface PlotSeries {
  readonly label: string;
  /** One for each time; `null` where there is none. */
  readonly values: readonly (number | null)[];
  /** The name of a colour of the style sheet, such as `--learned`. */
  readonly color: string;
  /** Lines of one plot differ by more than colour. */
  readonly dash?: readonly number[];
  readonly isArea?: boolean;
}

export interface PlotProps {
  readonly title: string;
  /** Since 1970, oldest first. */
  readonly timesMs: readonly number[];
  readonly series: readonly PlotSeries[];
  readonly format: (value: number) => string;
  /** @default 140 */
  readonly height?: number;
}

export function Plot({ title, timesMs, series, format, height = 140 }: PlotProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = `${theme.value}|${series.map(({ label, color }) => `${label}:${color}`).join()}`;
  const data = [
    timesMs.map((ms) => ms / 1_000),
    ...series.map(({ values }) => [...values]),
  ] as uPlot.AlignedData;
  useEffect(() => {
    const holder = box.current!;
    const made = new uPlot(optionsOf({ title, timesMs, series, format, height }, holder), data, holder);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: holder.clientWidth, height }));
    observer.observe(holder);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, height]);
  useEffect(() => plot.current?.setData(data), [timesMs, series]);
  return (
    <figure class="plot">
      <figcaption>
        {title}
        <span class="plot-keys">
          {series.map(({ label, color, dash }) => (
            <span key={label} class="plot-key">
              <svg width="18" height="8" aria-hidden="true">
                <line
                  x1="0"
                  y1="4"
                  x2="18"
                  y2="4"
                  class={`stroke${color}`}
                  stroke-dasharray={dash?.join(" ")}
                />
              </svg>
              {label} <b>{lastOf(series.find((one) => one.label === label)!.values, format)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} class="plot-box" role="img" aria-label={spoken({ title, timesMs, series, format })} />
    </figure>
  );
}

function lastOf(values: readonly (number | null)[], format: (value: number) => string): string {
  const last = values.at(-1);
  return last === undefined || last === null ? "–" : format(last);
}

/** What is drawn, in words: the newest and the highest of each line. */
function spoken({ title, timesMs, series, format }: PlotProps): string {
  if (timesMs.length === 0) return `${title}: nothing yet`;
  const lines = series.map(({ label, values }) => {
    const known = values.filter((value) => value !== null);
    return `${label} now ${lastOf(values, format)}, at most ${
      known.length > 0 ? format(Math.max(...known)) : "–"
    }`;
  });
  return `${title}, ${clock(timesMs[0]!)} to ${clock(timesMs.at(-1)!)}: ${lines.join("; ")}`;
}

function optionsOf({ series, format, height = 140 }: PlotProps, holder: HTMLElement): uPlot.Options {
  const style = getComputedStyle(holder);
  const colorOf = (name: string): string => style.getPropertyValue(name).trim() || "#888";
  const grid = { stroke: colorOf("--border"), width: 1 };
  const axis = { stroke: colorOf("--muted"), grid, ticks: grid, font: "11px system-ui, sans-serif" };
  return {
    width: Math.max(holder.clientWidth, 50),
    height,
    legend: { show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, size: 28, values: (_plot, splits) => splits.map((seconds) => clock(seconds * 1_000)) },
      { ...axis, size: 56, values: (_plot, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...series.map(({ label, color, dash, isArea }): uPlot.Series => ({
        label,
        stroke: colorOf(color),
        width: 1.5,
        points: { show: true, size: 4, filter: (plot, index) => lonely(plot.data[index]!) },
        ...(dash === undefined ? {} : { dash: [...dash] }),
        ...(isArea ? { fill: `${colorOf(color)}33` } : {}),
      })),
    ],
  };
}

/** Where a value has none beside it: no line is drawn through it, so it would not be seen. */
function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const isThere = (index: number): boolean => (values[index] ?? null) !== null;
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) if (isThere(i) && !isThere(i - 1) && !isThere(i + 1)) found.push(i);
  return found;
}
