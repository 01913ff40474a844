/**
 * Moves the map under the view: by mouse, finger and wheel, and by the buttons and keys of the page.
 *
 * The transform is set on the element itself. Nothing of Preact's is drawn anew for it.
 *
 * @module
 */
import { select } from "d3-selection";
import { zoom, type ZoomBehavior, zoomIdentity } from "d3-zoom";
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

export class MapZoom {
  readonly #svg: SVGSVGElement;
  readonly #behavior: ZoomBehavior<SVGSVGElement, unknown>;
  #isMoved = false;

  /** @param stage What is moved; the whole content of the SVG. */
  constructor(svg: SVGSVGElement, stage: SVGGElement) {
    this.#svg = svg;
    this.#behavior = zoom<SVGSVGElement, unknown>().scaleExtent([SCALE_MIN, SCALE_MAX])
      .on("zoom", ({ transform, sourceEvent }) => {
        stage.setAttribute("transform", String(transform));
        svg.classList.toggle("is-far", transform.k < FAR_SCALE);
        // By hand: from now on nothing moves by itself.
        if (sourceEvent !== null) this.#isMoved = true;
      });
    select(svg).call(this.#behavior).on("dblclick.zoom", null);
  }

  /** Whether the user has chosen what part is seen. */
  get isMoved(): boolean {
    return this.#isMoved;
  }

  /** Shows all of it. */
  fit({ x, y, width, height }: Box): void {
    const { clientWidth, clientHeight } = this.#svg;
    if (clientWidth === 0 || clientHeight === 0 || width <= 0 || height <= 0) return;
    const roomy = Math.min(
      (clientWidth - 2 * FIT_PAD) / width,
      (clientHeight - 2 * FIT_PAD) / height,
      FIT_SCALE_MAX,
    );
    const scale = Math.max(roomy, SCALE_MIN);
    const left = clientWidth / 2 - (x + width / 2) * scale;
    const top = clientHeight / 2 - (y + height / 2) * scale;
    select(this.#svg).call(this.#behavior.transform, zoomIdentity.translate(left, top).scale(scale));
    this.#isMoved = false;
  }

  nearer(): void {
    this.#isMoved = true;
    select(this.#svg).call(this.#behavior.scaleBy, STEP_SCALE);
  }

  farther(): void {
    this.#isMoved = true;
    select(this.#svg).call(this.#behavior.scaleBy, 1 / STEP_SCALE);
  }

  /** @param x, y In steps: 1 shows more of what lies right, or below. */
  pan(x: number, y: number): void {
    this.#isMoved = true;
    const { k } = this.#transform();
    select(this.#svg).call(this.#behavior.translateBy, -x * STEP_PIXELS / k, -y * STEP_PIXELS / k);
  }

  /** Brings a place into view, when it is not. */
  reveal({ x, y, width, height }: Box): void {
    const { k, x: left, y: top } = this.#transform();
    const { clientWidth, clientHeight } = this.#svg;
    const [fromX, toX] = [x * k + left, (x + width) * k + left];
    const [fromY, toY] = [y * k + top, (y + height) * k + top];
    if (fromX >= 0 && fromY >= 0 && toX <= clientWidth && toY <= clientHeight) return;
    this.#isMoved = true;
    select(this.#svg).call(this.#behavior.translateTo, x + width / 2, y + height / 2);
  }

  /** Lets go of the element. */
  close(): void {
    select(this.#svg).on(".zoom", null);
  }

  #transform(): { readonly k: number; readonly x: number; readonly y: number } {
    return (this.#svg as SVGSVGElement & { __zoom?: typeof zoomIdentity }).__zoom ?? zoomIdentity;
  }
}
