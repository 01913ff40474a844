/**
 * What mouse and keys do on the map: open, move from node to node, show what a thing is joined with, tell its words.
 *
 * It works on the elements that are drawn, by their ids: a thousand lines need no handlers of their own, and nothing
 * is drawn anew when the mouse moves.
 *
 * Among all nodes one can be reached with the Tab key, and among all lines one: the arrow keys lead from there.
 *
 * @module
 */
import type { Box } from "./boxes.ts";
import type { MapLine } from "./line.ts";
import { isArrow, nearest } from "./nearest.ts";
import type { MapZoom } from "./zoom.ts";

/** What can be pointed at. `fold` is the head of an open namespace. */
export type Thing =
  | { readonly kind: "node" | "line" | "fold"; readonly id: string }
  | { readonly kind: "gateway" };

/** What is drawn now. */
export interface Scene {
  /** Nodes by their ids, heads of namespaces by `fold:NAMESPACE`. */
  readonly places: ReadonlyMap<string, Box>;
  readonly lines: readonly MapLine[];
}

export interface Reactions {
  open(thing: Thing): void;
  /** @param at In the view, in pixels. */
  tell(thing: Thing | undefined, at: { readonly x: number; readonly y: number }): void;
}

const THINGS = "[data-node],[data-line],[data-fold],[data-gateway]";

/** Keys that do the same wherever the focus is on the map. */
const KEYS: Readonly<Record<string, (zoom: MapZoom) => void>> = {
  "+": (zoom) => zoom.nearer(),
  "=": (zoom) => zoom.nearer(),
  "-": (zoom) => zoom.farther(),
  "0": (zoom) => zoom.fit(),
};

const PANS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] } as const;

export class Interaction {
  readonly #view: HTMLElement;
  readonly #zoom: MapZoom;
  readonly #reactions: Reactions;
  readonly #closed = new AbortController();
  #scene: Scene = { places: new Map(), lines: [] };
  #hot: Element | undefined;
  /** Where the Tab key leads among nodes, and among lines. */
  #place: string | undefined;
  #line: string | undefined;
  /** To be focused once it is drawn. */
  #awaited: string | undefined;

  constructor(view: HTMLElement, zoom: MapZoom, reactions: Reactions) {
    this.#view = view;
    this.#zoom = zoom;
    this.#reactions = reactions;
    const { signal } = this.#closed;
    view.addEventListener("click", ({ target }) => this.#open(elementOf(target)), { signal });
    view.addEventListener("keydown", (event) => this.#onKey(event), { signal });
    view.addEventListener("pointerover", ({ target }) => this.#point(elementOf(target)), { signal });
    view.addEventListener("pointerleave", () => this.#heat(undefined), { signal });
    view.addEventListener("focusin", ({ target }) => this.#onFocus(elementOf(target)), { signal });
    view.addEventListener("focusout", () => this.#heat(undefined), { signal });
  }

  /** Call it after each drawing. */
  show(scene: Scene): void {
    this.#scene = scene;
    if (this.#awaited !== undefined) {
      this.#find("place", this.#awaited)?.focus();
      this.#awaited = undefined;
    }
    const isThere = this.#place !== undefined && scene.places.has(this.#place);
    this.#offer("place", isThere ? this.#place : scene.places.keys().next().value);
    const isLineThere = this.#line !== undefined && scene.lines.some(({ id }) => id === this.#line);
    this.#offer("line", isLineThere ? this.#line : this.#reachable()[0]?.id);
    if (this.#hot?.isConnected === false) this.#heat(undefined);
  }

  /** Focuses this place after the next drawing: what was focused will be gone. */
  await(place: string): void {
    this.#awaited = place;
  }

  /** Takes away what is told. */
  quieten(): void {
    this.#heat(undefined);
  }

  /** Lets go of the element. */
  close(): void {
    this.#closed.abort();
  }

  #open(element: ThingElement | undefined): void {
    const thing = element && thingOf(element);
    if (thing !== undefined) this.#reactions.open(thing);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const element = elementOf(event.target);
    if (event.key === "Enter" || event.key === " ") this.#open(element);
    else if (Object.hasOwn(KEYS, event.key)) KEYS[event.key]!(this.#zoom);
    else if (!isArrow(event.key)) return;
    else if (element?.dataset["line"] !== undefined) {
      this.#step(element.dataset["line"], event.key === "ArrowUp" || event.key === "ArrowLeft" ? -1 : 1);
    } else if (element !== undefined && element.dataset["gateway"] === undefined) {
      const next = nearest(this.#scene.places, placeOf(element) ?? "", event.key);
      if (next !== undefined) this.#find("place", next)?.focus();
    } else {
      const [x, y] = PANS[event.key];
      this.#zoom.pan(x, y);
    }
    event.preventDefault();
  }

  /** From one line to the next of those that can be reached. */
  #step(id: string, by: 1 | -1): void {
    const lines = this.#reachable();
    const at = lines.findIndex((line) => line.id === id);
    const next = lines.at((at + by) % Math.max(1, lines.length));
    if (next !== undefined) this.#find("line", next.id)?.focus();
  }

  /** The lines of the node that was focused last; all, as long as none was. */
  #reachable(): readonly MapLine[] {
    const own = this.#scene.lines.filter(({ from, to }) => from === this.#place || to === this.#place);
    return own.length > 0 ? own : this.#scene.lines;
  }

  #onFocus(element: ThingElement | undefined): void {
    if (element === undefined) return;
    const { line } = element.dataset;
    const place = placeOf(element);
    if (place !== undefined) {
      this.#offer("place", place);
      this.#offer("line", this.#reachable()[0]?.id);
      const box = this.#scene.places.get(place);
      if (box !== undefined && element.matches(":focus-visible")) this.#zoom.reveal(box);
    } else if (line !== undefined) this.#offer("line", line);
    this.#heat(element);
  }

  /** Lets the Tab key lead here. */
  #offer(kind: "place" | "line", id: string | undefined): void {
    const before = kind === "place" ? this.#place : this.#line;
    if (before !== undefined && before !== id) this.#find(kind, before)?.setAttribute("tabindex", "-1");
    if (kind === "place") this.#place = id;
    else this.#line = id;
    if (id !== undefined) this.#find(kind, id)?.setAttribute("tabindex", "0");
  }

  #find(kind: "place" | "line", id: string): ThingElement | undefined {
    const name = kind === "line" ? "line" : id.startsWith("fold:") ? "fold" : "node";
    const value = name === "fold" ? id.slice("fold:".length) : id;
    return this.#view.querySelector<ThingElement>(`[data-${name}="${CSS.escape(value)}"]`) ?? undefined;
  }

  /** While the map is moved, what passes under the mouse is not meant. */
  #point(element: ThingElement | undefined): void {
    if (!this.#view.classList.contains("is-moving")) this.#heat(element);
  }

  /** Marks a thing and what it is joined with, and has its words told. */
  #heat(element: ThingElement | undefined): void {
    if (element === this.#hot) return;
    this.#hot = element;
    const thing = element && thingOf(element);
    const isJoining = thing?.kind === "node" || thing?.kind === "line";
    this.#view.classList.toggle("has-hot", isJoining);
    const hot = new Set<string>();
    if (isJoining) {
      hot.add(thing.id);
      for (const { id, from, to } of this.#scene.lines) {
        if (id === thing.id || from === thing.id || to === thing.id) {
          for (const one of [id, from, to]) hot.add(one);
        }
      }
    }
    for (const one of this.#view.querySelectorAll<ThingElement>("[data-line],[data-node]")) {
      one.toggleAttribute("data-hot", hot.has(one.dataset["line"] ?? one.dataset["node"] ?? ""));
    }
    this.#reactions.tell(thing, element === undefined ? { x: 0, y: 0 } : this.#cornerOf(element));
  }

  /** Under a node; beside the middle of a line. */
  #cornerOf(element: ThingElement): { x: number; y: number } {
    const frame = this.#view.getBoundingClientRect();
    const { left, bottom, top, width } = (element.querySelector(".line-way") ?? element)
      .getBoundingClientRect();
    const isLine = element.dataset["line"] !== undefined;
    return {
      x: left - frame.left + (isLine ? width / 2 : 0),
      y: (isLine ? (top + bottom) / 2 : bottom) - frame.top + 6,
    };
  }
}

type ThingElement = SVGElement & HTMLOrSVGElement;

function elementOf(target: EventTarget | null): ThingElement | undefined {
  return target instanceof Element ? target.closest<ThingElement>(THINGS) ?? undefined : undefined;
}

function placeOf({ dataset }: ThingElement): string | undefined {
  return dataset["fold"] === undefined ? dataset["node"] : `fold:${dataset["fold"]}`;
}

function thingOf({ dataset }: ThingElement): Thing | undefined {
  for (const kind of ["node", "line", "fold"] as const) {
    const id = dataset[kind];
    if (id !== undefined) return { kind, id };
  }
  return dataset["gateway"] === undefined ? undefined : { kind: "gateway" };
}
