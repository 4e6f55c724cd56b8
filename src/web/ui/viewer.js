// The slice on a canvas with the contours over it. Draws in pixel index coordinates of the image: an integer index is
// the CENTRE of a pixel, so the image's top left corner lies at (-0.5, -0.5). Pixels keep their size in millimetres.

import { api } from "./api.js";
import { css } from "./dom.js";

const KEPT_SLICES = 96;
const AHEAD = 3;

export class Viewer {
  /**
   * `image`: shape, spacing and default window of `/image`; `structures`: those of `/contours`.
   * `changed` is called after each change of slice or window.
   */
  constructor(canvas, caseId, image, structures, changed) {
    this.canvas = canvas;
    this.caseId = caseId;
    this.image = image;
    this.structures = structures;
    this.changed = changed;
    this.hidden = new Set();
    this.selected = null;
    this.slice = Math.floor(image.slices / 2);
    this.window = { ...image.window };
    this.zoom = 1;
    this.pan = [0, 0];
    this.bitmaps = new Map(); // "slice/centre/width" to bitmap, least recently used first
    this.shown = null;
    this.error = null;
    this.loading = false;
    this.bySlice = new Map();
    for (const structure of structures) {
      for (const contour of structure.contours) {
        if (!this.bySlice.has(contour.slice)) this.bySlice.set(contour.slice, []);
        this.bySlice.get(contour.slice).push({ structure, path: pathOf(contour.points) });
      }
    }
    this.ended = new AbortController();
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(canvas);
    this.listen();
    this.goTo(this.slice);
  }

  end() {
    this.ended.abort();
    this.observer.disconnect();
    for (const bitmap of this.bitmaps.values()) bitmap.close();
    this.bitmaps.clear();
  }

  goTo(k) {
    this.slice = Math.min(this.image.slices - 1, Math.max(0, Math.round(k)));
    this.changed();
    this.draw();
    this.load();
  }

  setWindow(centre, width) {
    this.window = { centre: Number(centre.toPrecision(4)), width: Number(Math.max(width, this.image.range.high * 1e-3, 1e-3).toPrecision(4)) };
    this.changed();
    this.draw();
    this.load();
  }

  setVisible(name, visible) {
    if (visible) this.hidden.delete(name);
    else this.hidden.add(name);
    this.draw();
  }

  select(name) {
    this.selected = name;
    this.draw();
  }

  resetView() {
    this.zoom = 1;
    this.pan = [0, 0];
    this.setWindow(this.image.window.centre, this.image.window.width);
  }

  key(k) {
    return `${k}/${this.window.centre}/${this.window.width}`;
  }

  /** The slice wanted now first, then its neighbours; one request at a time, so that a quick scroll skips slices. */
  async load() {
    if (this.loading) return;
    this.loading = true;
    for (let k = this.wanted(); k !== null && !this.ended.signal.aborted; k = this.wanted()) {
      const key = this.key(k);
      try {
        const bitmap = await api.slice(this.caseId, k, this.window);
        if (this.ended.signal.aborted) {
          bitmap.close();
          break;
        }
        this.bitmaps.set(key, bitmap);
        this.error = null;
        for (const old of this.bitmaps.keys()) {
          if (this.bitmaps.size <= KEPT_SLICES) break;
          this.bitmaps.get(old).close();
          this.bitmaps.delete(old);
        }
      } catch (error) {
        this.error = error;
        this.draw();
        break;
      }
      this.draw();
    }
    this.loading = false;
  }

  wanted() {
    for (let step = 0; step <= AHEAD; step++) {
      for (const k of [this.slice + step, this.slice - step]) {
        if (k >= 0 && k < this.image.slices && !this.bitmaps.has(this.key(k))) return k;
      }
    }
    return null;
  }

  draw() {
    const { canvas, image } = this;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!w || !h) return;
    if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, w, h);

    const [si, sj] = image.spacing;
    const fit = Math.min(w / (image.columns * si), h / (image.rows * sj)) * this.zoom; // canvas pixels per mm
    const left = (w - image.columns * si * fit) / 2 + this.pan[0] * ratio;
    const top = (h - image.rows * sj * fit) / 2 + this.pan[1] * ratio;

    const key = this.key(this.slice);
    const bitmap = this.bitmaps.get(key);
    if (bitmap) {
      this.bitmaps.delete(key); // most recently used goes last
      this.bitmaps.set(key, bitmap);
      ctx.imageSmoothingQuality = "high";
      ctx.drawImage(bitmap, left, top, image.columns * si * fit, image.rows * sj * fit);
    }
    canvas.dataset.slice = bitmap ? this.slice : "";

    const place = new DOMMatrix([si * fit, 0, 0, sj * fit, left + 0.5 * si * fit, top + 0.5 * sj * fit]);
    const shown = (this.bySlice.get(this.slice) ?? []).filter(({ structure }) => !this.hidden.has(structure.name));
    const chosen = ({ structure }) => structure.name === this.selected;
    // Fills lie under every line, and lines have the same width along rows and columns of an anisotropic image.
    const lines = shown.map((contour) => {
      const onScreen = new Path2D();
      onScreen.addPath(contour.path, place);
      return { ...contour, onScreen };
    });
    for (const { structure, onScreen } of lines.filter(chosen)) {
      ctx.fillStyle = css(structure.colour, 0.16);
      ctx.fill(onScreen, "evenodd");
    }
    ctx.lineJoin = "round";
    for (const line of lines) {
      ctx.strokeStyle = css(line.structure.colour);
      ctx.lineWidth = (chosen(line) ? 2.4 : 1.5) * ratio;
      ctx.stroke(line.onScreen);
    }
    this.captions(ctx, w, h, ratio, bitmap);
  }

  captions(ctx, w, h, ratio, bitmap) {
    const margin = 14 * ratio;
    ctx.font = `600 ${14 * ratio}px system-ui, sans-serif`;
    ctx.fillStyle = "#ffd27a";
    ctx.textBaseline = "middle";
    const { left, right, top, bottom } = this.image.edges;
    const put = (text, x, y) => {
      ctx.textAlign = "center";
      ctx.fillText(text, x, y);
    };
    put(left, margin, h / 2);
    put(right, w - margin, h / 2);
    put(top, w / 2, margin);
    put(bottom, w / 2, h - margin);
    if (this.error) {
      ctx.fillStyle = "#ff9d8a";
      put(`This slice cannot be shown: ${this.error.message}`, w / 2, h / 2);
    } else if (!bitmap) {
      put("loading", w / 2, h / 2);
    }
  }

  listen() {
    const { canvas } = this;
    const signal = this.ended.signal;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey) {
        this.zoom = Math.min(12, Math.max(1, this.zoom * Math.exp(-event.deltaY * 0.002)));
        if (this.zoom === 1) this.pan = [0, 0];
        this.draw();
      } else if (event.deltaY) {
        this.goTo(this.slice + Math.sign(event.deltaY));
      }
    }, { passive: false, signal });

    canvas.addEventListener("keydown", (event) => {
      const to = {
        ArrowUp: this.slice + 1, ArrowRight: this.slice + 1, ArrowDown: this.slice - 1, ArrowLeft: this.slice - 1,
        PageUp: this.slice + 10, PageDown: this.slice - 10, Home: 0, End: this.image.slices - 1,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.goTo(to);
    }, { signal });

    // Drag: right widens the window, down lowers its centre. With shift: move the picture.
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      const [x, y] = [event.clientX, event.clientY];
      const start = { ...this.window, pan: [...this.pan] };
      const step = (this.image.range.high - this.image.range.low) / 500;
      const moving = new AbortController();
      const until = { signal: AbortSignal.any([moving.signal, signal]) };
      canvas.addEventListener("pointermove", (move) => {
        const [dx, dy] = [move.clientX - x, move.clientY - y];
        if (move.shiftKey) {
          this.pan = [start.pan[0] + dx, start.pan[1] + dy];
          this.draw();
        } else {
          this.setWindow(start.centre - dy * step, start.width + dx * step);
        }
      }, until);
      for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => moving.abort(), until);
    }, { signal });
    canvas.addEventListener("dblclick", () => this.resetView(), { signal });
  }
}

function pathOf(points) {
  const path = new Path2D();
  points.forEach(([i, j], n) => (n ? path.lineTo(i, j) : path.moveTo(i, j)));
  path.closePath();
  return path;
}
