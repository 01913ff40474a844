/**
 * What flashes on the map, over it: an element of its own, so that the browser draws these few lines anew while they
 * fade, and not the thousand that lie below.
 *
 * Lines are added and taken away by hand: each is there for the moment in which it is seen.
 *
 * @module
 */
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { Box } from "./boxes.ts";
import { type MapLine, widthOf } from "./line.ts";
import type { LinePath } from "./paths.ts";

/** In a tab that nobody sees none of them comes to its end. */
const SHOWN_MAX = 160;
/** So much wider than its line, in pixels. */
const WIDER = 6;
const SVG = "http://www.w3.org/2000/svg";

export interface FlashLayerProps {
  readonly lines: readonly MapLine[];
  /** By the id of a line. */
  readonly paths: ReadonlyMap<string, LinePath>;
  /** How often each line has flashed: it does when that has grown. */
  readonly flashes: ReadonlyMap<string, number>;
  readonly bounds: Box;
}

export function FlashLayer({ lines, paths, flashes, bounds }: FlashLayerProps): JSX.Element {
  const layer = useRef<SVGSVGElement>(null);
  const before = useRef(flashes);
  useLayoutEffect(() => {
    const known = before.current;
    before.current = flashes;
    if (known === flashes || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const line of lines) {
      const path = paths.get(line.id);
      const hasFlashed = (flashes.get(line.id) ?? 0) > (known.get(line.id) ?? 0);
      if (path !== undefined && hasFlashed) show(layer.current!, line, path);
    }
  }, [flashes]);
  const { x, y, width, height } = bounds;
  return (
    <svg
      ref={layer}
      class="map-flashes"
      width={width}
      height={height}
      viewBox={`${x} ${y} ${width} ${height}`}
      aria-hidden="true"
    />
  );
}

function show(layer: SVGSVGElement, line: MapLine, { d }: LinePath): void {
  const way = document.createElementNS(SVG, "path");
  way.setAttribute("class", `line-flash is-${line.state}`);
  way.setAttribute("d", d);
  way.setAttribute("stroke-width", String(widthOf(line) + WIDER));
  way.addEventListener("animationend", () => way.remove());
  layer.append(way);
  if (layer.childElementCount > SHOWN_MAX) layer.firstElementChild!.remove();
}
