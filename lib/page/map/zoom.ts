/**
 * Moves the map under the view: by mouse, finger and wheel, and by the buttons and keys of the page.
 *
 * The drawing is an element of its own that is moved as a whole, so that the browser has nothing to draw anew while
 * it moves, however many lines there are. When it rests it is drawn sharp for its size.
 *
 * @module
 */
import { select } from "d3-selection";
import { zoom, type ZoomBehavior, zoomIdentity, type ZoomTransform } from "d3-zoom";
import type { Box } from "./boxes.ts";

const SCALE_MIN = 0.05;
const SCALE_MAX = 2.5;
/** A small map is not blown up. */
const FIT_SCALE_MAX = 1.1;
const FIT_PAD = 24;
/** Below this letters cannot be read: small ones are left out, names are drawn larger. */
const FAR_SCALE = 0.5;
const STEP_SCALE = 1.3;
const STEP_PIXELS = 80;
/** It rests when it has not moved for so long. */
const REST_MS = 300;

export class MapZoom {
  readonly #view: HTMLElement;
  readonly #drawing: HTMLElement;
  readonly #behavior: ZoomBehavior<HTMLElement, unknown>;
  #transform: ZoomTransform = zoomIdentity;
  #bounds: Box = { x: 0, y: 0, width: 0, height: 0 };
  #isMoved = false;
  #restTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param drawing Within the view; its left upper corner is that of the bounds. */
  constructor(view: HTMLElement, drawing: HTMLElement) {
    this.#view = view;
    this.#drawing = drawing;
    this.#behavior = zoom<HTMLElement, unknown>().scaleExtent([SCALE_MIN, SCALE_MAX])
      .on("zoom", ({ transform, sourceEvent }: { transform: ZoomTransform; sourceEvent: unknown }) => {
        this.#transform = transform;
        // By hand: from now on nothing moves by itself.
        if (sourceEvent) this.#isMoved = true;
        this.#move();
      });
    select(view).call(this.#behavior).on("dblclick.zoom", null);
  }

  /** Whether the user has chosen what part is seen. */
  get isMoved(): boolean {
    return this.#isMoved;
  }

  /** What the drawing holds now: call it whenever that changes. */
  set bounds(bounds: Box) {
    this.#bounds = bounds;
    this.#place();
  }

  /** Shows all of it. */
  fit(): void {
    const { x, y, width, height } = this.#bounds;
    const { clientWidth, clientHeight } = this.#view;
    if (clientWidth === 0 || clientHeight === 0 || width <= 0 || height <= 0) return;
    const [wide, high] = [(clientWidth - 2 * FIT_PAD) / width, (clientHeight - 2 * FIT_PAD) / height];
    const scale = Math.max(Math.min(wide, high, FIT_SCALE_MAX), SCALE_MIN);
    const left = clientWidth / 2 - (x + width / 2) * scale;
    const top = clientHeight / 2 - (y + height / 2) * scale;
    select(this.#view).call(this.#behavior.transform, zoomIdentity.translate(left, top).scale(scale));
    this.#isMoved = false;
  }

  nearer(): void {
    this.#isMoved = true;
    select(this.#view).call(this.#behavior.scaleBy, STEP_SCALE);
  }

  farther(): void {
    this.#isMoved = true;
    select(this.#view).call(this.#behavior.scaleBy, 1 / STEP_SCALE);
  }

  /** @param x, y In steps: 1 shows more of what lies right, or below. */
  pan(x: number, y: number): void {
    this.#isMoved = true;
    const step = STEP_PIXELS / this.#transform.k;
    select(this.#view).call(this.#behavior.translateBy, -x * step, -y * step);
  }

  /** Brings a place into view, when it is not. */
  reveal({ x, y, width, height }: Box): void {
    const [fromX, fromY] = this.#transform.apply([x, y]);
    const [toX, toY] = this.#transform.apply([x + width, y + height]);
    const { clientWidth, clientHeight } = this.#view;
    if (fromX >= 0 && fromY >= 0 && toX <= clientWidth && toY <= clientHeight) return;
    this.#isMoved = true;
    select(this.#view).call(this.#behavior.translateTo, x + width / 2, y + height / 2);
  }

  /** Lets go of the elements. */
  close(): void {
    clearTimeout(this.#restTimer);
    select(this.#view).on(".zoom", null);
  }

  #move(): void {
    this.#view.classList.add("is-moving");
    this.#place();
    clearTimeout(this.#restTimer);
    this.#restTimer = setTimeout(() => {
      this.#view.classList.remove("is-moving");
      this.#view.classList.toggle("is-far", this.#transform.k < FAR_SCALE);
    }, REST_MS);
  }

  #place(): void {
    const [left, top] = this.#transform.apply([this.#bounds.x, this.#bounds.y]);
    this.#drawing.style.transform = `translate(${left}px, ${top}px) scale(${this.#transform.k})`;
  }
}
