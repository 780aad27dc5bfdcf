// Everything here is a comfort: the pages work without it.
"use strict";

const BY_SCRIPT = { "X-By-Script": "1" }; // what was done is told on a page that somebody sees, not on one we compare

// Times in the reader's own zone.
const MOMENT = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

// As people where the reader lives write it, in the language of the page.
const PAGE = document.documentElement.lang;
const LANGUAGE = navigator.languages.find((each) => each.split("-")[0] === PAGE) ?? PAGE;

function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    const options = { ...MOMENT };
    if (at.getFullYear() !== new Date().getFullYear()) options.year = "numeric";
    time.textContent = at.toLocaleString(LANGUAGE, options);
    time.title = time.dateTime;
  }
  for (const label of root.querySelectorAll("[data-hour]"))
    label.textContent = new Date(label.dataset.hour).toLocaleTimeString(LANGUAGE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  for (const label of root.querySelectorAll("[data-moment]"))
    label.textContent = new Date(label.dataset.moment).toLocaleString(LANGUAGE, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  for (const hint of root.querySelectorAll("[data-utc-hint]")) hint.hidden = true;
  for (const zone of root.querySelectorAll("[data-zone]"))
    zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone.replaceAll("_", " ");
  for (const hidden of root.querySelectorAll("[data-script]")) hidden.hidden = false;
  for (const input of root.querySelectorAll("input[data-utc]")) {
    if (!input.dataset.utc) continue;
    const at = new Date(input.dataset.utc);
    const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60000);
    input.value = input.defaultValue = shifted.toISOString().slice(0, 16);
  }
}

// The time fields of a filter are local on the page and UTC in the address.
document.addEventListener("formdata", (event) => {
  for (const input of event.target.querySelectorAll("input[data-utc]"))
    if (input.value) event.formData.set(input.name, new Date(input.value).toISOString());
  for (const [name, value] of [...event.formData])
    if (event.target.method === "get" && value === "") event.formData.delete(name);
});

// What a person or a script has set since it came: a list that is open, the live picture.
function isOurs(element, name) {
  if (element.tagName === "DETAILS") return name === "open";
  if (name === "data-old") return true;
  return (name === "hidden" || name === "src") && element.parentElement.hasAttribute("data-preview");
}

// The rows of a list stay where they are while somebody points at one, or has the focus there: else a click, or Enter,
// would open another than the one that was meant. Whoever has not moved for a while only watches.
const LISTS = "ul, ol, tbody, [data-list]";
const WATCHES_ONLY_MS = 30000;
let moved = -WATCHES_ONLY_MS;
for (const deed of ["pointermove", "pointerdown", "keydown"])
  document.addEventListener(deed, () => { moved = performance.now(); }, { passive: true });

function isAtWork() {
  return performance.now() - moved < WATCHES_ONLY_MS;
}

// Where a row leads says which one it is.
function keyOf(row) {
  return (row.matches("a[href]") ? row : row.querySelector("a[href]"))?.pathname ?? "";
}

function keysOf(list) {
  return [...list.children].map(keyOf);
}

function sayWhich(keys) {
  return keys.length === new Set(keys).size && !keys.includes("");
}

let isKeptBack = false; // something of the newest page is not shown yet

// True: the rows were made like those of `next` without moving any; rows that are new there wait.
function renewRows(now, next) {
  const [ours, theirs] = [keysOf(now), keysOf(next)];
  if (`${ours}` === `${theirs}` || !sayWhich(ours) || !sayWhich(theirs)) return false;
  const stays = "held" in now.dataset; // and what is new is told above it
  if (!stays && !(isAtWork() && now.matches(":hover, :focus-within"))) return false;
  const rows = new Map(theirs.map((key, index) => [key, next.children[index]]));
  for (const row of [...now.children]) {
    const same = rows.get(keyOf(row));
    if (same) {
      row.classList.remove("gone");
      renew(row, same);
    } else if (stays && !row.classList.contains("gone")) {
      row.classList.add("gone");
      const told = document.createElement("span");
      told.className = "no-image";
      told.textContent = said("gone");
      const link = row.matches("a[href]") ? row : row.querySelector("a[href]"); // stays, and says which one it was
      link.replaceChildren(told);
      if (link !== row) row.replaceChildren(link);
    }
  }
  isKeptBack ||= !stays;
  return true;
}

// What tells a node from its neighbours.
function signOf(node, inList) {
  if (node.nodeType !== 1) return node.nodeName;
  return [node.nodeName, node.id, inList ? keyOf(node) : node.className, node.tagName === "A" ? node.pathname : ""].join(" ");
}

// Children that came or went push the others aside; those stay the same ones: the longest common subsequence.
function renewChildren(now, next) {
  const inList = now.matches(LISTS);
  const [ours, theirs] = [[...now.childNodes], [...next.childNodes]];
  const [our, their] = [ours, theirs].map((nodes) => nodes.map((node) => signOf(node, inList)));
  const common = ours.map(() => new Uint16Array(theirs.length + 1));
  common.push(new Uint16Array(theirs.length + 1));
  for (let i = ours.length - 1; i >= 0; i -= 1)
    for (let j = theirs.length - 1; j >= 0; j -= 1)
      common[i][j] = our[i] === their[j] ? common[i + 1][j + 1] + 1 : Math.max(common[i + 1][j], common[i][j + 1]);
  for (let i = 0, j = 0; i < ours.length || j < theirs.length;) {
    if (i < ours.length && j < theirs.length && our[i] === their[j]) renew(ours[i++], theirs[j++]);
    else if (j === theirs.length || (i < ours.length && common[i + 1][j] >= common[i][j + 1])) ours[i++].remove();
    else now.insertBefore(document.importNode(theirs[j++], true), ours[i] ?? null);
  }
}

// Make `now` like `next`, touching only what differs, so that pictures, focus and open lists stay.
function renew(now, next) {
  if (now.isEqualNode(next)) return;
  if (now.nodeType === 1 && now.matches("[data-age-mark]")) return; // it would be read out again
  if (now.nodeType === 1 && now.matches("[data-labels]")) return; // they belong to the picture that is shown
  const sameKind = now.nodeType === 1 && next.nodeType === 1 && now.tagName === next.tagName
    && now.tagName !== "svg" && now.pathname === next.pathname; // a link to something else is another link
  if (!sameKind) return replace(now, next);
  for (const { name } of [...now.attributes])
    if (!next.hasAttribute(name) && !isOurs(now, name)) now.removeAttribute(name);
  for (const { name, value } of next.attributes)
    if (now.getAttribute(name) !== value && !isOurs(now, name)) now.setAttribute(name, value);
  if (now.matches(LISTS) && next.matches(LISTS) && renewRows(now, next)) return;
  const theirs = [...next.childNodes];
  const sameShape = now.childNodes.length === theirs.length
    && !(now.matches(LISTS) && `${keysOf(now)}` !== `${keysOf(next)}`)
    && [...now.childNodes].every((child, index) => child.nodeName === theirs[index].nodeName);
  if (!sameShape) return renewChildren(now, next);
  [...now.childNodes].forEach((child, index) => renew(child, theirs[index]));
}

// What is pointed at, or has the focus, stays where it is on the screen when something above it comes or goes.
function renewInPlace(main, next) {
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const at = isAtWork() ? [...main.querySelectorAll(":hover")].at(-1) ?? focused : null;
  const before = at?.getBoundingClientRect();
  renew(main, next);
  if (!at?.isConnected || before.bottom < 0 || before.top > innerHeight) return;
  const shift = at.getBoundingClientRect().top - before.top;
  if (shift) scrollBy({ top: shift, behavior: "instant" });
}

// "12 newer, show": in the page, so that the place in it and the keyboard's are not lost.
async function showNewer(main, link) {
  const answer = await fetch(link.href, { headers: BY_SCRIPT, cache: "no-store", signal: AbortSignal.timeout(10000) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.querySelector("main");
  const list = next?.querySelector("[data-held]");
  if (!answer.ok || answer.redirected || !list || look(page) !== look(document)) return location.assign(link.href);
  localise(next);
  main.querySelector("[data-held]").replaceWith(document.importNode(list, true));
  renew(main, next);
  main.querySelector("[data-held] a")?.focus();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-newer]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  showNewer(document.getElementById("main"), link).catch(() => location.assign(link.href));
});

// A live picture goes on within what is new around it, and the page's main part stays the one that is renewed.
function replace(now, next) {
  const fresh = document.importNode(next, true);
  const frames = now.nodeType === 1 ? [...now.querySelectorAll("[data-preview]")] : [];
  for (const theirs of fresh.nodeType === 1 ? fresh.querySelectorAll("[data-preview]") : []) {
    const frame = frames.find((each) => each.dataset.preview === theirs.dataset.preview);
    if (!frame) continue;
    renew(frame, theirs);
    theirs.replaceWith(frame);
  }
  if (now.id === "main") now.replaceChildren(...fresh.childNodes);
  else now.replaceWith(fresh);
}

function isBusy(main) {
  const focused = document.activeElement;
  const inField = focused && main.contains(focused)
    && (/^(INPUT|SELECT|TEXTAREA)$/.test(focused.tagName) || focused.closest("svg")); // a chart would lose the focus
  const selected = getSelection();
  return document.hidden || inField || (selected && !selected.isCollapsed);
}

function look(page) {
  return page.querySelector("link[rel=stylesheet]")?.getAttribute("href");
}

function keepUpToDate(main) {
  const stale = document.getElementById("stale");
  let etag = null;
  let drawn = null;
  async function poll() {
    if (isBusy(main)) return;
    const headers = etag ? { ...BY_SCRIPT, "If-None-Match": etag } : BY_SCRIPT;
    const { from } = main.dataset;
    const answer = await fetch(from ?? location.href, { headers, cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (answer.redirected) return location.reload();
    stale.hidden = answer.ok || answer.status === 304;
    if (!answer.ok) return;
    const text = await answer.text();
    if (isBusy(main) || from !== main.dataset.from) return;
    etag = answer.headers.get("ETag");
    const page = new DOMParser().parseFromString(text, "text/html");
    if (look(page) !== look(document)) return location.reload(); // another version answers
    const next = page.querySelector("main");
    if (!next || next.innerHTML === drawn) return;
    drawn = next.innerHTML;
    localise(next);
    isKeptBack = false;
    renewInPlace(main, next);
    startPreviews();
    if (isKeptBack) etag = drawn = null; // asked for once more
    for (const tell of tellAges) tell();
  }
  setInterval(() => poll().catch(() => { stale.hidden = false; }), Number(main.dataset.refresh) * 1000);
}

// The live preview: the next picture as soon as the last one is shown; where many are side by side, after a pause.
function showPreview(frame) {
  const picture = frame.querySelector("img");
  const none = frame.querySelector("[data-none]");
  let drawnAt = picture.hidden ? null : performance.now(); // of the one that came with the page, a little later than true
  async function next() {
    if ("pause" in frame.dataset && frame.isConnected && !isInSight(frame)) return setTimeout(next, 250);
    let wait = 1000;
    if (!document.hidden) {
      try {
        const answer = await fetch(frame.dataset.preview, { cache: "no-store", signal: AbortSignal.timeout(5000) });
        const age = answer.status === 200 && answer.headers.get("X-Picture-Age-S"); // whoever is signed out gets another page
        if (age) {
          const at = performance.now() - 1000 * Number(age);
          const faces = JSON.parse(answer.headers.get("X-Picture-Faces") ?? "[]");
          const old = picture.src;
          const fresh = new Image();
          fresh.src = URL.createObjectURL(await answer.blob());
          await fresh.decode(); // so that picture and labels change at once
          picture.src = fresh.src;
          if (old.startsWith("blob:")) URL.revokeObjectURL(old);
          picture.hidden = false;
          drawLabels(frame, fresh, faces);
          drawnAt = at;
          wait = 400;
        } else if (!("keepsPicture" in frame.dataset)) drawnAt = null;
        picture.hidden = drawnAt === null;
        none.hidden = !picture.hidden;
      } catch { /* the box does not answer: the picture shows its age */ }
      tell();
    }
    if (frame.isConnected) return setTimeout(next, Math.max(wait, Number(frame.dataset.pause ?? 0)));
    clearInterval(telling);
    tellAges.splice(tellAges.indexOf(tell), 1);
    if (picture.src.startsWith("blob:")) URL.revokeObjectURL(picture.src);
  }
  const tell = () => frame.isConnected && showAge(frame, drawnAt === null ? null : performance.now() - drawnAt);
  tellAges.push(tell);
  const telling = setInterval(tell, 500);
  next();
}

// What the box says of the faces in this very picture: [state, left, top, right, bottom] in its px. They are told over
// it, so that they are sharp at every size, in the words of the page, and can be read by a screen reader.
const LABEL_PX = 13;
function drawLabels(frame, picture, faces) {
  const labels = frame.querySelector("[data-labels]");
  if (!labels) return;
  const [width, height] = [picture.naturalWidth, picture.naturalHeight];
  labels.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const px = 1 / (labels.getScreenCTM()?.a || 1); // of the screen, in those of the picture
  labels.style.fontSize = `${LABEL_PX * px}px`;
  while (labels.childElementCount > faces.length) labels.lastElementChild.remove();
  while (labels.childElementCount < faces.length) labels.append(newLabel());
  const taken = [];
  faces.forEach(([state, left, top, , bottom], index) => {
    const label = labels.children[index];
    const [bar, text] = label.children;
    label.setAttribute("class", `face-label face-label-${state}`);
    setText(text, labels.getAttribute(`data-words-${state}`) ?? state);
    const size = { width: text.getComputedTextLength() + 10 * px, height: (LABEL_PX + 6) * px };
    const x = Math.max(0, Math.min(left, width - size.width));
    const above = top >= size.height ? top - size.height : Math.max(0, Math.min(top, height - size.height));
    const isFree = (y) => !taken.some((other) => Math.abs(other.y - y) < size.height && x < other.x + other.width && other.x < x + size.width);
    const y = [above, Math.min(bottom, height - size.height)].find(isFree) ?? above; // below a face, where another's words are
    taken.push({ x, y, ...size });
    place(bar, { x, y, ...size });
    place(text, { x: x + 5 * px, y: y + (LABEL_PX + 1) * px });
  });
}

function newLabel() {
  const [label, bar, text] = ["g", "rect", "text"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  label.append(bar, text);
  return label;
}

function place(element, where) {
  for (const [name, value] of Object.entries(where)) element.setAttribute(name, value.toFixed(1));
}

const OLD_MS = 3000; // an older picture is not live; previews.py hands out none
const tellAges = [];

// A sentence that the page brought along in its language (script_words.py, or its view), with what stands in its braces.
function said(name, values = {}) {
  const words = document.querySelector(`[data-words-${name}]`).getAttribute(`data-words-${name}`);
  return words.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

function ageWords(seconds) {
  if (seconds < 120) return said("age-s", { n: seconds });
  if (seconds < 7200) return said("age-min", { n: Math.floor(seconds / 60) });
  return said("age-h", { n: Math.floor(seconds / 3600) });
}

function setText(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// How old a picture is that is not live any more; on a wall, of each. A screen reader is told once that one is not, and
// reads the age where it stands. ageMs: null where there is no picture.
function showAge(frame, ageMs) {
  const isOld = ageMs >= OLD_MS;
  const age = ageMs === null ? "" : ageWords(Math.floor(ageMs / 1000));
  frame.toggleAttribute("data-old", isOld);
  setText(frame.querySelector("[data-age]"), isOld || "tellsAge" in frame.dataset ? age : "");
  const status = frame.querySelector("[data-age-mark] [role=status]");
  if (status) setText(status, isOld ? said("not-live") : "");
  const around = frame.closest(".wall > li") ?? document.getElementById("main"); // of this stream: else a page has one
  const pill = around.querySelector(".pill.live, .pill.old");
  if (!pill) return;
  if (!isOld && pill.matches(".old")) {
    pill.textContent = pill.dataset.said;
    pill.className = "pill live";
  } else if (isOld) {
    if (pill.matches(".live")) pill.dataset.said = pill.textContent;
    pill.className = "pill warn old";
    setText(pill, said("old-picture", { age }));
  }
}

document.addEventListener("visibilitychange", () => { for (const tell of tellAges) tell(); });

// Of a wall of pictures a phone shows two or three; the others are not fetched.
function isInSight(frame) {
  const { top, bottom } = frame.getBoundingClientRect();
  return bottom >= -300 && top <= innerHeight + 300;
}

const shownPreviews = new WeakSet();

function startPreviews() {
  for (const frame of document.querySelectorAll("[data-preview]")) {
    if (shownPreviews.has(frame)) continue;
    shownPreviews.add(frame);
    showPreview(frame);
  }
}

function copyText(button) {
  const text = button.parentElement.querySelector("[data-copied]");
  const range = document.createRange();
  range.selectNodeContents(text);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
  // navigator.clipboard exists only over HTTPS and on localhost; a box is often reached by plain HTTP.
  const done = navigator.clipboard
    ? navigator.clipboard.writeText(text.textContent)
    : document.execCommand("copy") ? Promise.resolve() : Promise.reject();
  done.then(() => { button.textContent = said("copied"); }, () => { button.textContent = said("press-copy"); });
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copyText(button);
  if (event.target.closest("[data-print]")) print();
});

// Only what fits the chosen kind of stream is shown.
for (const form of document.querySelectorAll("form[data-kinds]")) {
  const show = () => {
    const chosen = new FormData(form).get("kind");
    for (const part of form.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== chosen;
  };
  form.addEventListener("change", show);
  show();
}

// The QR code on a box's screen brings the claim code behind the #, which a browser sends to nobody.
const code = document.querySelector("input[data-from-fragment]");
if (code && /^#[A-Z0-9]{4}-[A-Z0-9]{4}$/.test(location.hash)) {
  code.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  code.form.elements.name.focus();
}

// A large file: how much of it was sent, and what the site said to it.
function sendFile(form) {
  const shown = form.querySelector("[data-upload-progress]");
  const button = form.querySelector("button");
  const request = new XMLHttpRequest();
  const say = (words) => { shown.hidden = false; shown.lastElementChild.textContent = words; button.disabled = false; };
  const file = form.querySelector("input[type=file]").files[0];
  if (file.size > Number(form.dataset.max)) return say(said("too-large"));
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    shown.firstElementChild.value = loaded / total;
    const percent = Math.floor(100 * loaded / total);
    shown.lastElementChild.textContent = percent < 100 ? said("sent", { percent }) : said("verifies");
  });
  request.addEventListener("load", () => {
    if (request.status < 400) return location.assign(request.responseURL);
    const next = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("main");
    if (!next) return say(said("not-taken"));
    localise(next);
    renew(document.getElementById("main"), next);
  });
  request.addEventListener("error", () => say(said("broke-off")));
  request.open("POST", form.action);
  for (const [name, value] of Object.entries(BY_SCRIPT)) request.setRequestHeader(name, value);
  request.send(new FormData(form));
  shown.hidden = false;
  button.disabled = true;
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-upload]")) return;
  event.preventDefault();
  sendFile(event.target);
});

// While the box cannot be reached, a sentence of ours instead of the browser's own page. By HTTPS, and on localhost.
const manifest = document.querySelector("link[rel=manifest]");
if (manifest && navigator.serviceWorker)
  addEventListener("load", () => navigator.serviceWorker.register(new URL("worker.js", manifest.href)).catch(() => {}));

localise(document);
const main = document.querySelector("main[data-refresh]");
if (main) keepUpToDate(main);
startPreviews();
