/**
 * What went over an edge, over time.
 *
 * @module
 */
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { ask } from "../core/api.ts";
import { bytes, count } from "../core/format.ts";
import { Plot } from "../ui/plot.tsx";
import { useReading } from "./use_reading.ts";

interface EdgeTraffic {
  readonly stepMs: number;
  readonly timesMs: readonly number[];
  readonly counts: readonly number[];
  readonly dropped: readonly number[];
  readonly bytes: readonly number[];
}

const WINDOWS = [["1h", "Hour"], ["7d", "Week"]] as const;
const EVERY_MS = 3_000;

export function EdgeTrafficPlot({ id }: { readonly id: string }): JSX.Element {
  const [window, setWindow] = useState<"1h" | "7d">("1h");
  const { value, fault } = useReading(
    `${id} ${window}`,
    EVERY_MS,
    (signal) =>
      ask<EdgeTraffic>("GET", `/edges/${encodeURIComponent(id)}/traffic`, { query: { window }, signal }),
  );
  const step = window === "1h" ? "minute" : "hour";
  return (
    <section>
      <div class="edge-traffic-head">
        <h3>Traffic</h3>
        <div class="choices" role="group" aria-label="How far back">
          {WINDOWS.map(([name, words]) => (
            <button
              key={name}
              type="button"
              aria-pressed={window === name}
              onClick={() => setWindow(name)}
            >
              {words}
            </button>
          ))}
        </div>
      </div>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {value && (
        <>
          <Plot
            key={window}
            title={`Requests and connections a ${step}`}
            timesMs={value.timesMs}
            series={[
              { label: "all", values: value.counts, color: "--accent" },
              { label: "dropped", values: value.dropped, color: "--blocked", dash: [4, 3] },
            ]}
            format={count}
            height={110}
          />
          <Plot
            key={`${window} bytes`}
            title={`Bytes a ${step}`}
            timesMs={value.timesMs}
            series={[{ label: "both ways", values: value.bytes, color: "--grey" }]}
            format={bytes}
            height={110}
          />
        </>
      )}
    </section>
  );
}
