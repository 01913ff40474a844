/**
 * The drawn map: what is on it comes as a model with its layout, what is done to it goes to `onOpen`.
 *
 * @module
 */
import type { JSX } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "../ui/icon.tsx";
import { FlashLayer } from "./flash_layer.tsx";
import { Interaction, type Scene, type Thing } from "./interaction.ts";
import type { Layout } from "./layout.ts";
import { hasAlertSign, isStrange, lineLabel, lineWords, type MapLine, widthOf } from "./line.ts";
import { LineView } from "./line_view.tsx";
import type { MapModel } from "./model.ts";
import { nameOf, nodeWords } from "./node.ts";
import { NodeView } from "./node_view.tsx";
import { type LinePath, pathsOf } from "./paths.ts";
import { Definitions, FOLD_HEIGHT, Gateway, NamespaceFrame, Wall } from "./wall_view.tsx";
import { MapZoom } from "./zoom.ts";

export interface MapCanvasProps {
  readonly model: MapModel;
  readonly layout: Layout;
  /** How often each line has flashed. */
  readonly flashes: ReadonlyMap<string, number>;
  /** The ids of what the detail tells of. */
  readonly chosenEdge: string | undefined;
  readonly chosenNode: string | undefined;
  readonly onOpen: (thing: Thing) => void;
  /** What is shown at all: when that changes, all of it comes into view. */
  readonly scope: string;
}

/** What is told of a thing that is pointed at. */
interface Tip {
  readonly thing: Thing;
  readonly x: number;
  readonly y: number;
}

export function MapCanvas(props: MapCanvasProps): JSX.Element {
  const { model, layout } = props;
  const view = useRef<HTMLDivElement>(null);
  const drawing = useRef<HTMLDivElement>(null);
  const [tip, setTip] = useState<Tip>();
  const names = useMemo(() => new Map(model.nodes.map((node) => [node.id, nameOf(node)])), [model]);
  const controls = useControls(view, drawing, props, setTip);
  const shape = model.lines.map(({ id }) => id).join();
  const paths = useMemo(() => pathsOf(model.lines, layout), [layout, shape]);
  const { x, y, width, height } = layout.bounds;
  return (
    <div class="map-stage">
      <div
        ref={view}
        class="map-canvas"
        tabindex={0}
        role="application"
        aria-label="Map of the wall"
        aria-describedby="map-keys"
        onKeyDown={(event) => {
          if (event.key === "Escape") controls.current?.interaction.quieten();
        }}
      >
        <div ref={drawing} class="map-drawing">
          <svg width={width} height={height} viewBox={`${x} ${y} ${width} ${height}`}>
            <Definitions />
            <Wall layout={layout} />
            {layout.boxes.map((box) => !box.isCollapsed && <NamespaceFrame key={box.namespace} box={box} />)}
            <Gateway layout={layout} />
            <Lines {...props} names={names} paths={paths} />
            {model.nodes.map((node) => {
              const box = layout.nodes.get(node.id);
              return box &&
                <NodeView key={node.id} node={node} box={box} isChosen={node.id === props.chosenNode} />;
            })}
          </svg>
          <FlashLayer lines={model.lines} paths={paths} flashes={props.flashes} bounds={layout.bounds} />
        </div>
        <div class="map-shield" />
      </div>
      <p id="map-keys" class="hidden">
        Arrow keys move from node to node, or the map. Enter opens. Shift and Tab lead from a node to its
        lines. Plus and minus zoom, 0 shows all, slash searches. The list shows the same as a table.
      </p>
      <ZoomButtons onClick={(action) => controls.current?.zoom[action]()} />
      {tip && <TipView tip={tip} model={model} names={names} />}
    </div>
  );
}

/** Makes what reacts to mouse and keys once, and tells it of every drawing. */
function useControls(
  view: { readonly current: HTMLDivElement | null },
  drawing: { readonly current: HTMLElement | null },
  { model, layout, scope, onOpen }: MapCanvasProps,
  setTip: (tip: Tip | undefined) => void,
): { readonly current: { zoom: MapZoom; interaction: Interaction } | undefined } {
  const controls = useRef<{ zoom: MapZoom; interaction: Interaction } | undefined>(undefined);
  const shown = useRef(scope);
  const newest = useRef(onOpen);
  newest.current = onOpen;
  useLayoutEffect(() => {
    const zoom = new MapZoom(view.current!, drawing.current!);
    const interaction = new Interaction(view.current!, zoom, {
      open: (thing) => {
        // Whoever folds or unfolds a namespace with the keyboard goes on from there.
        if (thing.kind === "fold") interaction.await(`ns:${thing.id}`);
        if (thing.kind === "node" && thing.id.startsWith("ns:")) {
          interaction.await(`fold:${thing.id.slice(3)}`);
        }
        newest.current(thing);
      },
      tell: (thing, at) => setTip(thing && thing.kind !== "gateway" ? { thing, ...at } : undefined),
    });
    controls.current = { zoom, interaction };
    const observer = new ResizeObserver(() => {
      if (!zoom.isMoved) zoom.fit();
    });
    observer.observe(view.current!);
    return () => {
      observer.disconnect();
      interaction.close();
      zoom.close();
    };
  }, []);
  useLayoutEffect(() => {
    const { zoom } = controls.current!;
    zoom.bounds = layout.bounds;
    if (!zoom.isMoved || shown.current !== scope) zoom.fit();
    shown.current = scope;
  }, [layout, scope]);
  useLayoutEffect(() => controls.current!.interaction.show(sceneOf(model, layout)), [model, layout]);
  return controls;
}

function sceneOf({ lines }: MapModel, layout: Layout): Scene {
  const heads = layout.boxes.filter(({ isCollapsed }) => !isCollapsed).map((box) =>
    [`fold:${box.namespace}`, { ...box, height: FOLD_HEIGHT }] as const
  );
  return { places: new Map([...layout.nodes, ...heads]), lines };
}

interface LinesProps extends MapCanvasProps {
  readonly names: ReadonlyMap<string, string>;
  readonly paths: ReadonlyMap<string, LinePath>;
}

function onTop(line: MapLine): number {
  return isStrange(line.state) ? 2 : hasAlertSign(line) ? 1 : 0;
}

function Lines({ model, chosenEdge, names, paths }: LinesProps): JSX.Element {
  // What comes last lies on top.
  const drawn = model.lines.toSorted((a, b) => onTop(a) - onTop(b));
  return (
    <g class="lines">
      {drawn.map((line) => {
        const path = paths.get(line.id);
        return path && (
          <LineView
            key={line.id}
            id={line.id}
            path={path}
            state={line.state}
            widthPx={widthOf(line)}
            label={lineLabel(line, ...endsOf(line, names))}
            hasAlertSign={hasAlertSign(line)}
            isChosen={chosenEdge !== undefined && line.edges.includes(chosenEdge)}
          />
        );
      })}
    </g>
  );
}

function endsOf({ from, to }: MapLine, names: ReadonlyMap<string, string>): [string, string] {
  return [names.get(from) ?? "", names.get(to) ?? ""];
}

const BUTTONS: readonly (readonly ["nearer" | "farther" | "fit", IconName, string])[] = [
  ["nearer", "plus", "Zoom in (+)"],
  ["farther", "minus", "Zoom out (−)"],
  ["fit", "fit", "Show all (0)"],
];

function ZoomButtons(
  { onClick }: { readonly onClick: (action: "nearer" | "farther" | "fit") => void },
): JSX.Element {
  return (
    <div class="map-zoom" role="group" aria-label="Zoom">
      {BUTTONS.map(([action, icon, label]) => (
        <button
          key={action}
          type="button"
          aria-label={label}
          title={label}
          onClick={() => onClick(action)}
        >
          <Icon name={icon} />
        </button>
      ))}
    </div>
  );
}

interface TipViewProps {
  readonly tip: Tip;
  readonly model: MapModel;
  readonly names: ReadonlyMap<string, string>;
}

/** Beside what is pointed at. What it says is as new as the model. */
function TipView({ tip: { thing, x, y }, model, names }: TipViewProps): JSX.Element | null {
  const words = wordsOf(thing, model, names);
  if (words === "") return null;
  const [first, ...others] = words.split("\n");
  return (
    <div class="map-tip" role="status" style={{ left: `${x}px`, top: `${y}px` }}>
      <b>{first}</b>
      {others.map((line, index) => <span key={index}>{line}</span>)}
    </div>
  );
}

function wordsOf(thing: Thing, model: MapModel, names: ReadonlyMap<string, string>): string {
  if (thing.kind === "node") {
    const node = model.nodes.find(({ id }) => id === thing.id);
    return node === undefined ? "" : nodeWords(node);
  }
  if (thing.kind !== "line") return "";
  const line = model.lines.find(({ id }) => id === thing.id);
  return line === undefined ? "" : lineWords(line, ...endsOf(line, names));
}
