// Pages that renew themselves: only what differs is touched, so that pictures, focus, open lists and the place stay.
"use strict";

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

// Which version of the site drew a page: the names of its files carry their hash.
function look(page) {
  return [...page.querySelectorAll("head link[rel=stylesheet], head script[src]")]
    .map((file) => file.getAttribute("href") ?? file.getAttribute("src")).join(" ");
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
    if (isKeptBack) etag = drawn = null; // asked for once more
    document.dispatchEvent(new Event("renewed"));
  }
  setInterval(() => poll().catch(() => { stale.hidden = false; }), Number(main.dataset.refresh) * 1000);
}

const renewed = document.querySelector("main[data-refresh]");
if (renewed) keepUpToDate(renewed);
