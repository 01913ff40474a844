/**
 * How much traffic there is, of which service, how it ended and how long it took; and the last requests.
 *
 * @module
 */
import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { place, setParams } from "../core/router.ts";
import { links, status } from "../core/state.ts";
import { Empty } from "../ui/empty.tsx";
import { gatewayOf } from "../links/reach.ts";
import { ViewLink } from "../ui/link.tsx";
import {
  chosenService,
  NO_ROUTE,
  numbersOf,
  openStepMs,
  plotted,
  serviceLabel,
  windowOf,
  WINDOWS,
} from "./columns.ts";
import { Recordings } from "./recordings.tsx";
import { RequestPanel } from "./request_panel.tsx";
import { RequestsList } from "./requests_list.tsx";
import { ServiceTable } from "./service_table.tsx";
import { TrafficPlots } from "./traffic_plots.tsx";
import type { Traffic, WindowName } from "./traffic_types.ts";
import { type Polled, usePolled } from "./use_polled.ts";

/** How often a window is read anew. */
const EVERY_MS: Readonly<Record<WindowName, number>> = { "5m": 1_000, "1h": 10_000, "24h": 10_000 };

export function TrafficView(): JSX.Element {
  const { params } = place.value;
  const window = windowOf(params.get("window"));
  const service = chosenService(params.get("service"));
  const request = params.get("request");
  const read = usePolled<Traffic>(`/traffic?window=${window}`, EVERY_MS[window]);
  return (
    <div class="traffic">
      <Bar window={window} service={service} traffic={read.data} />
      <Recordings service={service} />
      {read.fault !== "" && <p class="fault" role="alert">{read.fault}</p>}
      <Numbers read={read} service={service} />
      <RequestsList service={service} />
      {request !== null && <RequestPanel key={request} id={request} />}
    </div>
  );
}

interface BarProps {
  readonly window: WindowName;
  readonly service: string | undefined;
  readonly traffic: Traffic | undefined;
}

function Bar({ window, service, traffic }: BarProps): JSX.Element {
  const known = new Set([
    ...(traffic?.services ?? []).map((each) => each.service),
    ...links.value.flatMap((link) => link.services),
    ...(service === undefined ? [] : [service]),
  ]);
  return (
    <div class="toolbar">
      <div class="windows" role="group" aria-label="Time">
        {WINDOWS.map((name) => (
          <button
            key={name}
            type="button"
            aria-pressed={name === window}
            onClick={() => setParams({ window: name }, "push")}
          >
            {name}
          </button>
        ))}
      </div>
      <label>
        Service
        <select
          value={service === undefined ? "" : service || NO_ROUTE}
          onChange={(event) => setParams({ service: event.currentTarget.value }, "push")}
        >
          <option value="">all</option>
          {[...known].sort().map((name) => (
            <option key={name} value={name || NO_ROUTE}>{serviceLabel(name)}</option>
          ))}
        </select>
      </label>
    </div>
  );
}

interface NumbersProps {
  readonly read: Polled<Traffic>;
  readonly service: string | undefined;
}

function Numbers({ read: { data, serverMs, fault }, service }: NumbersProps): JSX.Element | null {
  const shown = useMemo(() => {
    if (data === undefined) return undefined;
    const openMs = openStepMs(data, serverMs);
    const services = data.services.filter((each) => service === undefined || each.service === service);
    return { services, plots: plotted(data, services, openMs), numbers: numbersOf(data, openMs) };
  }, [data, service]);
  if (data === undefined || shown === undefined) {
    return fault === "" ? <p aria-busy="true">Reading the traffic…</p> : null;
  }
  if (data.services.length === 0) return <NoTraffic />;
  return (
    <>
      {shown.services.length === 0
        ? <p class="card">Nothing went to {serviceLabel(service ?? "")} in this time.</p>
        : <TrafficPlots plots={shown.plots} services={shown.services.length} />}
      <ServiceTable traffic={data} numbers={shown.numbers} chosen={service} />
    </>
  );
}

function NoTraffic(): JSX.Element {
  return (
    <Empty title="No traffic in this time">
      {links.value.length === 0
        ? (
          <p>
            No agent is linked, so there is nothing to call:{" "}
            <ViewLink view="links" params={{ add: "agent" }}>add an agent</ViewLink>.
          </p>
        )
        : (
          <p>
            Send a request to the gateway's public address, such as{" "}
            <code>curl {gatewayOf(status.value?.entry, location).replace(/^ws/, "http")}/</code>. It shows
            here a second later.
          </p>
        )}
    </Empty>
  );
}
