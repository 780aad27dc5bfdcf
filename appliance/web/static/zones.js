// Drawing zones over the live picture, with a mouse, a finger or keys. What is saved is the form below the picture, which
// does the same job without this script. zone_drawing.js draws.

const STEP = 0.005, LONG_STEP = 0.05; // of the picture's sides, by an arrow key; with Shift
const LEAST = { count: 3, never: 3, line: 2 };
const NAMES = Object.fromEntries(Object.keys(LEAST).map((kind) => [kind, zoneWords(`name-${kind}`)]));
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const NEAR_PX = 14; // so near to the first point a click ends the drawing
const SAME_PX = 4; // a second click on the same place, as people end a drawing elsewhere

const editor = document.querySelector("[data-zones]");
const svg = editor.querySelector("svg");
const picture = editor.querySelector("img");
const form = editor.querySelector("form");
const rows = editor.querySelector("[data-rows]");
const template = editor.querySelector("template");
const said = editor.querySelector("[data-said]");
const mostPoints = Number(editor.dataset.mostPoints), mostZones = Number(editor.dataset.mostZones);
const options = [...template.content.querySelectorAll("option")];
const drawn = new ZoneDrawing(svg, Object.fromEntries(options.map((option) => [option.value, option.textContent])));
const button = (name) => editor.querySelector(`[data-do="${name}"]`);

let zones = [...rows.children].map(fromRow);
let chosen = null; // the zone whose points are shown
let point = null; // which of them the buttons mean; null: the zone itself
let drawing = null; // a zone that is being drawn: {kind, points, under: where the pointer is}
let drag = null; // {zone, point, from, start, as, hasMoved}
let past = [], future = [], tag = null; // tag: changes of one kind in a row are undone together
let isSaved = !editor.hasAttribute("data-unsaved");
let gestures = 0;

// Numbers: fractions of the picture's sides here, percent in the form.

function toText(points) {
  return points.map(([x, y]) => `${+(100 * x).toFixed(3)},${+(100 * y).toFixed(3)}`).join(" ");
}

function toPoints(text) {
  const written = text.trim().split(/[\s,;]+/);
  const numbers = written.map((each) => (/^\d{1,3}(\.\d{1,9})?$/.test(each) ? Number(each) : NaN));
  if (numbers.length % 2 || !numbers.every((number) => number <= 100)) return null;
  return Array.from({ length: numbers.length / 2 }, (_, at) => [numbers[2 * at] / 100, numbers[2 * at + 1] / 100]);
}

function fromRow(row) {
  const value = (name) => row.querySelector(`[name=${name}]`).value;
  return { kind: value("kind"), name: value("name"), points: toPoints(value("points")) || [] };
}

const between = (low, value, high) => Math.min(high, Math.max(low, value));
const inside = ([x, y]) => [between(0, x, 1), between(0, y, 1)];

// What is said: above the picture, and by a screen reader.

let saying = null;
function say(words, afterMs = 0) {
  clearTimeout(saying);
  saying = setTimeout(() => { said.textContent = words; }, afterMs);
}

function remember(as = null) {
  isSaved = false;
  if (as === null || as !== tag) {
    past.push(JSON.stringify(zones));
    future = [];
  }
  tag = as;
}

function step(from, to, words) {
  if (!from.length) return;
  to.push(JSON.stringify(zones));
  zones = JSON.parse(from.pop());
  tag = null;
  if (chosen !== null && chosen >= zones.length) [chosen, point] = [zones.length ? zones.length - 1 : null, null];
  if (chosen !== null && point >= zones[chosen].points.length) point = null;
  show();
  say(words);
}

const undo = () => step(past, future, zoneWords("undone"));
const redo = () => step(future, past, zoneWords("redone"));

function showRows() {
  while (rows.children.length > zones.length) rows.lastElementChild.remove();
  while (rows.children.length < zones.length) rows.append(template.content.firstElementChild.cloneNode(true));
  zones.forEach((zone, index) => {
    const row = rows.children[index];
    row.classList.toggle("chosen", index === chosen);
    row.querySelector("legend").textContent = zoneWords("legend", { number: index + 1 });
    row.querySelector("[data-remove]").hidden = false;
    row.querySelector("[data-remove]").setAttribute("aria-label", zoneWords("remove", { name: zone.name }));
    for (const [name, value] of [["kind", zone.kind], ["name", zone.name], ["points", toText(zone.points)]]) {
      const field = row.querySelector(`[name=${name}]`);
      if (name === "points" && !zone.points.length) continue; // what was sent cannot be read: it stays, to be mended
      if (field !== document.activeElement && field.value !== value) field.value = value;
      if (name === "points" && field.value === value) field.setCustomValidity("");
    }
  });
}

function readRow(event) {
  const row = event.target.closest("[data-zone-row]");
  const index = [...rows.children].indexOf(row);
  if (index < 0) return;
  const read = fromRow(row);
  const field = row.querySelector("[name=points]");
  const least = LEAST[read.kind];
  const isRight = toPoints(field.value)?.length >= (event.target.name === "kind" ? 1 : least);
  field.setCustomValidity(isRight ? "" : zoneWords("pairs", { least }));
  if (!isRight) read.points = zones[index].points;
  remember(`row ${index} ${event.target.name}`);
  zones[index] = event.target.name === "kind" ? fitted(read) : read;
  [chosen, point] = [index, null];
  show();
}

// A zone that becomes a line keeps two points, a line that becomes a zone gets a third.
function fitted(zone) {
  if (zone.kind === "line") return { ...zone, points: zone.points.slice(0, 2) };
  if (zone.points.length !== 2) return zone;
  const [[x0, y0], [x1, y1]] = zone.points;
  return { ...zone, points: [...zone.points, inside([(x0 + x1 + y0 - y1) / 2, (y0 + y1 + x1 - x0) / 2])] };
}

function redraw() {
  const pencil = drawing ? [...drawing.points, ...(drawing.under ? [drawing.under] : [])] : [];
  drawn.show(zones, chosen, pencil);
}

function show() {
  redraw();
  showRows();
  const zone = chosen === null ? null : zones[chosen];
  svg.classList.toggle("drawing", drawing !== null);
  button("finish").hidden = button("cancel").hidden = drawing === null;
  button("add").hidden = button("remove").hidden = drawing !== null;
  button("finish").disabled = drawing !== null && drawing.points.length < LEAST[drawing.kind];
  button("undo").disabled = !past.length;
  button("redo").disabled = !future.length;
  button("add").disabled = !zone || zone.kind === "line" || zone.points.length >= mostPoints;
  button("remove").disabled = !zone || (point !== null && zone.points.length <= LEAST[zone.kind]);
  button("remove").textContent = zoneWords(point === null ? "remove-zone" : "remove-point");
  button("swap").hidden = zone?.kind !== "line";
  for (const add of editor.querySelectorAll("[data-draw]")) add.disabled = zones.length >= mostZones;
}

function focusOn() {
  (chosen === null ? svg : drawn.part(chosen, point) || svg).focus({ preventScroll: true });
}

function unusedName(kind) {
  const taken = new Set(zones.map((zone) => zone.name.toLowerCase()));
  let number = 1;
  while (taken.has(`${NAMES[kind]} ${number}`.toLowerCase())) number += 1;
  return `${NAMES[kind]} ${number}`;
}

function addZone(kind, points) {
  remember();
  zones.push({ kind, name: unusedName(kind), points });
  [drawing, chosen, point] = [null, zones.length - 1, 0];
  show();
  focusOn();
  say(zoneWords("drawn", { name: zones[chosen].name }));
}

function addPoint(index, after, at = null, as = null) {
  const { points, kind } = zones[index];
  if (kind === "line") return say(zoneWords("two-points"));
  if (points.length >= mostPoints) return say(zoneWords("most-points", { most: mostPoints }));
  const [[x0, y0], [x1, y1]] = [points[after], points[(after + 1) % points.length]];
  remember(as);
  points.splice(after + 1, 0, at || [(x0 + x1) / 2, (y0 + y1) / 2]);
  [chosen, point] = [index, after + 1];
  show();
  say(zoneWords("new-point", { number: point + 1, of: points.length }));
}

function removePoint(index, at) {
  const { kind, name, points } = zones[index];
  if (points.length <= LEAST[kind]) return say(zoneWords("needs-points", { name, least: LEAST[kind] }));
  remember();
  points.splice(at, 1);
  point = Math.min(at, points.length - 1);
  show();
  say(zoneWords("points-left", { left: points.length }));
}

function removeZone(index) {
  const { name } = zones[index];
  remember();
  zones.splice(index, 1);
  [chosen, point] = [zones.length ? Math.min(index, zones.length - 1) : null, null];
  show();
  say(zoneWords("removed", { name }));
}

// One point, or all of them, by so much of the picture's sides; nothing leaves the picture.
function moved(start, at, [dx, dy]) {
  if (at !== null) return start.map((each, index) => (index === at ? inside([each[0] + dx, each[1] + dy]) : each));
  const [xs, ys] = [start.map(([x]) => x), start.map(([, y]) => y)];
  const [x, y] = [between(-Math.min(...xs), dx, 1 - Math.max(...xs)), between(-Math.min(...ys), dy, 1 - Math.max(...ys))];
  return start.map((each) => [each[0] + x, each[1] + y]);
}

// Pointers.

function drawAt(at) {
  const { kind, points } = drawing;
  const isDone = points.length >= LEAST[kind];
  const isEnd = [[points[0], NEAR_PX], [points.at(-1), SAME_PX]].some(([one, near]) => one && drawn.distance(one, at) < near);
  if (isEnd && isDone) return finish();
  if (!isEnd) points.push(at);
  if (points.length === (kind === "line" ? 2 : mostPoints)) finish();
  else show();
}

svg.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  const at = drawn.under(event);
  const group = event.target.closest("[data-zone]");
  if (!drawing && !group) return;
  event.preventDefault();
  if (drawing) return drawAt(at);
  const index = Number(group.dataset.zone), wasChosen = index === chosen, as = `drag ${gestures += 1}`;
  const middle = event.target.closest("[data-middle]"), handle = event.target.closest("[data-point]");
  if (middle) addPoint(index, Number(middle.dataset.middle), at, as);
  else [chosen, point] = [index, handle ? Number(handle.dataset.point) : null];
  show();
  focusOn();
  if (event.pointerType === "touch" && !wasChosen) return; // the first touch only chooses: the page still scrolls
  drag = { zone: index, point, from: at, start: zones[index].points, as, hasMoved: false };
  svg.setPointerCapture(event.pointerId);
});

svg.addEventListener("pointermove", (event) => {
  const at = drawn.under(event);
  if (drawing) {
    drawing.under = event.pointerType === "touch" ? null : at;
    return redraw();
  }
  if (!drag || (!drag.hasMoved && drawn.distance(drag.from, at) < 2)) return; // a click moves nothing
  remember(drag.as);
  drag.hasMoved = true;
  zones[drag.zone].points = moved(drag.start, drag.point, [at[0] - drag.from[0], at[1] - drag.from[1]]);
  show();
});

function drop(event) {
  const done = drag;
  drag = null;
  if (!done?.hasMoved) return;
  if (event.type === "pointercancel") undo();
  else say(zoneWords("moved", { name: zones[done.zone].name }));
}
svg.addEventListener("pointerup", drop);
svg.addEventListener("pointercancel", drop);

// Else the page scrolls under the finger: browsers heed touch-action only on the whole of an SVG. It comes after pointerdown.
svg.addEventListener("touchstart", (event) => { if (drag || drawing) event.preventDefault(); }, { passive: false });

function begin(kind) {
  drawing = { kind, points: [], under: null };
  chosen = point = null;
  show();
  svg.focus({ preventScroll: true });
  svg.scrollIntoView({ block: "nearest" });
  say(zoneWords(kind === "line" ? "draw-line" : "draw-corners"));
}

function finish() {
  const { kind, points } = drawing;
  if (points.length < LEAST[kind]) say(zoneWords("too-few", { least: LEAST[kind] }));
  else addZone(kind, points);
}

function cancel() {
  drawing = null;
  show();
  say(zoneWords("cancelled"));
}

// Whoever presses the button with a key gets a zone to move; whoever clicks draws one.
function putDown(kind) {
  const by = 0.02 * (zones.length % 10);
  const corners = kind === "line" ? [[0.5, 0.8], [0.5, 0.2]] : [[0.3, 0.3], [0.6, 0.3], [0.6, 0.7], [0.3, 0.7]];
  addZone(kind, corners.map(([x, y]) => [x + by, y]));
}

// Keys.

function keyMoves(event, index, at) {
  const [x, y] = ARROWS[event.key];
  const by = event.shiftKey ? LONG_STEP : STEP;
  const zone = zones[index];
  remember(`key ${index} ${at}`);
  zone.points = moved(zone.points, at, [x * by, y * by]);
  show();
  say(at === null ? zoneWords("begins", { name: zone.name, place: percentWords(zone.points[0]) }) : percentWords(zone.points[at]), 300);
}

function keyEntersOrAdds(_event, index, at) {
  if (at !== null) addPoint(index, at);
  else point = 0;
  show();
  focusOn();
}

function keyRemoves(_event, index, at) {
  if (at === null) removeZone(index);
  else removePoint(index, at);
  focusOn();
}

function keyEscapes(_event, index, at) {
  if (tag === `key ${index} ${at}`) return undo(); // the point is back where it was when it got the focus
  point = null;
  show();
  focusOn();
}

const KEYS = { Enter: keyEntersOrAdds, " ": keyEntersOrAdds, Delete: keyRemoves, Backspace: keyRemoves, Escape: keyEscapes };
const DRAWING_KEYS = { Escape: cancel, Enter: finish, Backspace: () => { drawing.points.pop(); show(); } };

svg.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const group = event.target.closest("[data-zone]"), handle = event.target.closest("[data-point]");
  const deed = drawing ? DRAWING_KEYS[event.key] : group && (event.key in ARROWS ? keyMoves : KEYS[event.key]);
  if (!deed) return;
  event.preventDefault();
  deed(event, Number(group?.dataset.zone), handle ? Number(handle.dataset.point) : null);
});

svg.addEventListener("focusin", (event) => {
  const group = event.target.closest("[data-zone]"), handle = event.target.closest("[data-point]");
  if (!group || drawing) return;
  const now = [Number(group.dataset.zone), handle ? Number(handle.dataset.point) : null];
  if (now[0] === chosen && now[1] === point) return;
  [chosen, point, tag] = [...now, null];
  show();
});

document.addEventListener("keydown", (event) => {
  const key = event.key.toLowerCase();
  if (!(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key) || event.target.matches("input, select")) return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo();
  else undo();
});

// Buttons.

const DEEDS = {
  undo, redo, finish, cancel,
  add: () => { addPoint(chosen, point ?? 0); },
  remove: () => { if (point === null) removeZone(chosen); else removePoint(chosen, point); },
  swap: () => { remember(); zones[chosen].points.reverse(); show(); say(zoneWords("exchanged")); },
};

editor.addEventListener("click", (event) => {
  const pressed = event.target.closest("button");
  if (!pressed) return;
  if (pressed.dataset.do) DEEDS[pressed.dataset.do]();
  else if (pressed.dataset.draw && event.detail === 0) putDown(pressed.dataset.draw);
  else if (pressed.dataset.draw) begin(pressed.dataset.draw);
  else if (pressed.matches("[data-remove]")) removeZone([...rows.children].indexOf(pressed.closest("[data-zone-row]")));
});

form.addEventListener("input", readRow);
form.addEventListener("submit", () => { isSaved = true; });
addEventListener("beforeunload", (event) => { if (!isSaved) event.preventDefault(); });

// The first picture says how high the drawing is, where the box did not know.
function fit() {
  if (picture.hidden || !picture.naturalWidth) return;
  svg.setAttribute("viewBox", `0 0 ${ZONE_ACROSS} ${(ZONE_ACROSS * picture.naturalHeight / picture.naturalWidth).toFixed(1)}`);
  redraw();
}
picture.addEventListener("load", fit);
new MutationObserver(fit).observe(picture, { attributeFilter: ["hidden"] });
new ResizeObserver(redraw).observe(svg);
show();
