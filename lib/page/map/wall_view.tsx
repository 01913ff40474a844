/**
 * The wall with the gateway in it, and the boxes of open namespaces.
 *
 * @module
 */
import type { JSX } from "preact";
import { plural } from "../core/format.ts";
import { links, status } from "../core/state.ts";
import { visible } from "../core/visible.ts";
import type { NamespaceBox } from "./boxes.ts";
import type { Layout } from "./layout.ts";
import { LINE_STATES } from "./line.ts";
import { SPACE } from "./node_view.tsx";

/** What lines and the wall are drawn with. */
export function Definitions(): JSX.Element {
  return (
    <defs>
      <pattern id="map-bricks" width="28" height="20" patternUnits="userSpaceOnUse">
        <path class="wall-joint" d="M0,0H28M0,10H28M7,0V10M21,10V20" />
      </pattern>
      {LINE_STATES.map((state) => (
        <marker
          key={state}
          id={`map-arrow-${state}`}
          class={`arrow is-${state}`}
          viewBox="0 0 8 8"
          refX="7"
          refY="4"
          markerWidth="8"
          markerHeight="8"
          markerUnits="userSpaceOnUse"
          orient="auto"
        >
          <path d="M0,0.5L7.5,4L0,7.5Z" />
        </marker>
      ))}
    </defs>
  );
}

/** So far it goes on above and below: a wall that could be walked around would be none. */
const WALL_BEYOND = 4_000;

export function Wall({ layout: { wall } }: { readonly layout: Layout }): JSX.Element {
  const { x, width } = wall;
  const size = { x, y: wall.y - WALL_BEYOND, width, height: wall.height + 2 * WALL_BEYOND };
  return (
    <g class="wall" aria-hidden="true">
      <rect class="wall-band" {...size} />
      <rect {...size} fill="url(#map-bricks)" />
    </g>
  );
}

/** The card of the gateway: it leads to the links. */
export function Gateway({ layout: { gateway } }: { readonly layout: Layout }): JSX.Element {
  const { x, y, width, height } = gateway;
  const { version = "", ready = true } = status.value ?? {};
  const streams = links.value.reduce((sum, link) => sum + link.streams, 0);
  const carried = `${plural(links.value.length, "link")}, ${plural(streams, "stream")}`;
  const state = ready ? "" : ", stopping";
  return (
    <g
      class={`gateway${ready ? "" : " is-stopping"}`}
      transform={`translate(${x},${y})`}
      data-gateway=""
      tabindex={0}
      role="link"
      aria-description="It stands in the wall. Opens the links"
    >
      <rect class="node-card" width={width} height={height} rx="8" />
      <text class="gateway-name" x={width / 2} y="26" text-anchor="middle">gateway{SPACE}</text>
      <text class="node-small" x={width / 2} y="44" text-anchor="middle">{version}{state}{SPACE}</text>
      <text class="node-small" x={width / 2} y="62" text-anchor="middle">{carried}</text>
    </g>
  );
}

/** How high the head of an open box is: it is a button that collapses it. */
export const FOLD_HEIGHT = 24;

export function NamespaceFrame({ box }: { readonly box: NamespaceBox }): JSX.Element {
  const { namespace, x, y, width, height } = box;
  const name = visible(namespace) || "(no namespace)";
  return (
    <g class="box" transform={`translate(${x},${y})`}>
      <rect class="box-frame" width={width} height={height} rx="10" />
      <g
        class="box-head"
        data-fold={namespace}
        tabindex={-1}
        role="button"
        aria-label={`${name}: collapse this namespace`}
      >
        <rect width={width} height={FOLD_HEIGHT} rx="10" />
        <text class="box-name" x="14" y="18">{name}</text>
        <text class="node-open" x={width - 18} y="18" text-anchor="middle" aria-hidden="true">−</text>
      </g>
    </g>
  );
}
