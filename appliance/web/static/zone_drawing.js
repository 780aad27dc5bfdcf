// How zones look in the picture and where a pointer is in it; zones.js says which there are and what may be done.
"use strict";

const ZONE_ACROSS = 1000; // the width of the picture in the units of the drawing

function zonePart(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// A sentence of the page, which the view wrote in the reader's language, with these values in its braces.
function zoneWords(name, values = {}) {
  const words = document.querySelector("[data-zones]").getAttribute(`data-words-${name}`) ?? "";
  return words.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

function percentWords([x, y]) {
  return zoneWords("place", { x: Math.round(100 * x), y: Math.round(100 * y) });
}

// Points are [x, y], fractions of the picture's sides. kinds: what each kind is called.
class ZoneDrawing {
  constructor(svg, kinds) {
    this.svg = svg;
    this.kinds = kinds;
    this.outlines = ""; // for which kinds there are groups now
    this.handles = ""; // for which zone, of how many points, there are handles
    this.layer = zonePart("g", {});
    this.pencil = zonePart("polyline", { class: "pencil" });
    svg.querySelectorAll(".zone").forEach((drawn) => drawn.remove());
    svg.append(this.layer, this.pencil);
  }

  get height() {
    return this.svg.viewBox.baseVal.height;
  }

  // Of the screen, for one unit of the drawing.
  get pixels() {
    return this.svg.getScreenCTM()?.a || 1;
  }

  under(event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [at.x / ZONE_ACROSS, at.y / this.height].map((part) => Math.min(1, Math.max(0, part)));
  }

  // How many px of the screen lie between two points.
  distance([x0, y0], [x1, y1]) {
    return Math.hypot((x1 - x0) * ZONE_ACROSS, (y1 - y0) * this.height) * this.pixels;
  }

  group(index) {
    return this.layer.children[index];
  }

  part(index, point) {
    return this.group(index)?.querySelector(point === null ? ".shape" : `[data-point="${point}"]`);
  }

  show(zones, chosen, points = []) {
    this.build(zones, chosen);
    const unit = 1 / this.pixels;
    this.layer.setAttribute("font-size", 14 * unit);
    const on = ([x, y]) => [ZONE_ACROSS * x, this.height * y];
    const text = (several) => several.map((each) => on(each).map((number) => number.toFixed(1)).join(",")).join(" ");
    zones.forEach((zone, index) => {
      const group = this.group(index);
      group.classList.toggle("unread", zone.points.length < 2); // its numbers cannot be read
      if (zone.points.length < 2) return;
      group.querySelectorAll("polygon, polyline").forEach((part) => part.setAttribute("points", text(zone.points)));
      const words = zoneWords("zone", { kind: this.kinds[zone.kind], name: zone.name, points: zone.points.length });
      group.querySelector(".shape").setAttribute("aria-label", words);
      const arrow = zone.kind === "line" ? this.arrow(zone.points.map(on), unit) : "";
      group.querySelectorAll(".arrow").forEach((part) => part.setAttribute("d", arrow));
      const hasRoom = index === chosen || matchMedia("(min-width: 44rem)").matches; // else its number stands in the form
      this.label(group.querySelector("text"), hasRoom ? `${index + 1} ${zone.name}` : `${index + 1}`, zone.points.map(on), unit);
    });
    if (chosen !== null && zones[chosen].points.length > 1) this.placeHandles(this.group(chosen), zones[chosen], zones[chosen].points.map(on), unit);
    this.pencil.setAttribute("points", text(points));
  }

  // Only what there was not yet is made: what has the focus stays.
  build(zones, chosen) {
    const outlines = zones.map((zone) => zone.kind).join();
    if (outlines !== this.outlines) {
      this.layer.replaceChildren(...zones.map((zone, index) => this.outline(zone, index)));
      this.handles = "";
    }
    const handles = chosen === null ? "" : `${chosen} ${zones[chosen].points.length}`;
    if (handles !== this.handles) {
      this.layer.querySelectorAll(".point, .middle").forEach((handle) => handle.remove());
      if (chosen !== null) this.group(chosen).append(...this.handlesOf(zones[chosen]));
    }
    [...this.layer.children].forEach((group, index) => group.classList.toggle("chosen", index === chosen));
    [this.outlines, this.handles] = [outlines, handles];
  }

  outline(zone, index) {
    const kind = zone.kind === "line" ? "polyline" : "polygon";
    const shape = zonePart(kind, { class: "shape", tabindex: 0, role: "button", "aria-roledescription": "zone" });
    if (zone.kind === "never") shape.setAttribute("fill", "url(#never-zone)");
    const parts = [
      zonePart(kind, { class: "edge" }), zonePart("path", { class: "arrow edge" }), shape, zonePart("path", { class: "arrow" }),
      zonePart("text", {}),
    ];
    if (zone.kind === "line") parts.unshift(zonePart(kind, { class: "reach" })); // a line is too thin to be hit
    return zonePart("g", { class: `zone zone-${zone.kind}`, "data-zone": index }, ...parts);
  }

  handlesOf({ kind, points }) {
    const middles = points.map((_, at) => zonePart("circle", { class: "middle", "data-middle": at }));
    const handles = points.map((_, at) => zonePart(
      "g", { class: "point", "data-point": at, tabindex: 0, role: "button", "aria-roledescription": zoneWords("point-role") },
      zonePart("circle", { class: "hit" }), zonePart("circle", { class: "dot" }),
    ));
    return kind === "line" ? handles : [...middles, ...handles];
  }

  placeHandles(group, { name, points }, places, unit) {
    const put = (circle, x, y, r) => Object.entries({ cx: x, cy: y, r }).forEach(([key, value]) => circle.setAttribute(key, value));
    const reach = matchMedia("(pointer: coarse)").matches ? 20 : 13;
    group.querySelectorAll(".point").forEach((handle, at) => {
      const words = zoneWords("point", { number: at + 1, of: points.length, name, place: percentWords(points[at]) });
      handle.setAttribute("aria-label", words);
      put(handle.querySelector(".hit"), ...places[at], reach * unit);
      put(handle.querySelector(".dot"), ...places[at], 7 * unit);
    });
    group.querySelectorAll(".middle").forEach((handle, at) => {
      const [[x0, y0], [x1, y1]] = [places[at], places[(at + 1) % places.length]];
      const hasRoom = Math.hypot(x1 - x0, y1 - y0) > 3 * reach * unit;
      put(handle, (x0 + x1) / 2, (y0 + y1) / 2, hasRoom ? 5 * unit : 0);
    });
  }

  label(words, text, places, unit) {
    const [left, top] = places.reduce((one, other) => (other[1] < one[1] ? other : one));
    const fits = left + 8.5 * (text.length + 1) * unit < ZONE_ACROSS;
    words.textContent = text;
    words.setAttribute("text-anchor", fits ? "start" : "end");
    words.setAttribute("x", fits ? left + 8 * unit : Math.max(left, 20 * unit));
    words.setAttribute("y", Math.min(this.height - 4 * unit, Math.max(16 * unit, top - 8 * unit)));
  }

  // To the right of whoever looks from the first point to the second: that way is in.
  arrow([[x0, y0], [x1, y1]], unit) {
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const [dx, dy] = [(unit * (x1 - x0)) / length, (unit * (y1 - y0)) / length];
    const at = (along, across) => `${(x0 + x1) / 2 + along * dx - across * dy} ${(y0 + y1) / 2 + along * dy + across * dx}`;
    return `M${at(0, 0)}L${at(0, 26)}M${at(-7, 18)}L${at(0, 27)}L${at(7, 18)}`;
  }
}
