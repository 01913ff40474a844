/**
 * Three plots: how much and how it ended, how long it took, how many bytes.
 *
 * @module
 */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { bytes, count, duration } from "../core/format.ts";
import { Plot, type PlotSeries } from "../ui/plot.tsx";
import type { Line, Plotted } from "./columns.ts";

interface Look {
  readonly color: string;
  readonly dash?: readonly number[];
}

/** By colour and dash: colour is never all there is. */
const LOOKS: Readonly<Record<string, Look>> = {
  "2xx": { color: "--learned" },
  "3xx": { color: "--accent", dash: [6, 3] },
  "4xx": { color: "--unknown", dash: [8, 3, 2, 3] },
  "5xx": { color: "--blocked", dash: [3, 3] },
  "1xx": { color: "--grey" },
  none: { color: "--grey", dash: [2, 4] },
  closed: { color: "--accent" },
  failed: { color: "--blocked", dash: [10, 3] },
  p50: { color: "--learned" },
  p95: { color: "--unknown", dash: [8, 3] },
  p99: { color: "--blocked", dash: [3, 3] },
  in: { color: "--accent" },
  out: { color: "--learned", dash: [8, 3] },
};
const LABELS: Readonly<Record<string, string>> = {
  none: "no answer",
  closed: "connections",
  failed: "connections failed",
};

export interface TrafficPlotsProps {
  readonly plots: Plotted;
  /** Of how many services they are. */
  readonly services: number;
}

export function TrafficPlots({ plots, services }: TrafficPlotsProps): JSX.Element {
  const rates = useMemo(() => plots.rates.map(seriesOf), [plots]);
  const latencies = useMemo(() => plots.latencies.map(seriesOf), [plots]);
  const volumes = useMemo(() => plots.bytes.map(seriesOf), [plots]);
  const { timesMs } = plots;
  return (
    <div class="plots">
      <div class="card">
        <Plot title="Requests a second" timesMs={timesMs} series={rates} format={count} />
      </div>
      {latencies.length > 0 && (
        <div class="card">
          <Plot
            title={services > 1 ? "Latency (of the slowest service)" : "Latency"}
            timesMs={timesMs}
            series={latencies}
            format={duration}
          />
        </div>
      )}
      <div class="card">
        <Plot title="Bytes a second" timesMs={timesMs} series={volumes} format={bytes} />
      </div>
    </div>
  );
}

function seriesOf({ name, values }: Line): PlotSeries {
  const { color, dash } = LOOKS[name] ?? { color: "--grey" };
  return { label: LABELS[name] ?? name, values, color, ...(dash === undefined ? {} : { dash }) };
}
