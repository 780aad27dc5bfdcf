// Everything here and in the other scripts is a comfort: the pages work without it. renew.js, previews.js, upload.js and
// the scripts of single pages come after this one, and use what it defines.
"use strict";

const BY_SCRIPT = { "X-By-Script": "1" }; // what was done is told on a page that somebody sees, not on one we compare

// Times in the reader's own zone.
const MINUTE = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const MOMENT = { ...MINUTE, second: "2-digit" };

// As people where the reader lives write it, in the language of the page.
const PAGE = document.documentElement.lang;
const LANGUAGE = navigator.languages.find((each) => each.split("-")[0] === PAGE) ?? PAGE;

function minuteOf(moment) {
  return new Date(moment).toLocaleString(LANGUAGE, MINUTE);
}

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
  for (const label of root.querySelectorAll("[data-moment]")) label.textContent = minuteOf(label.dataset.moment);
  for (const column of root.querySelectorAll("[data-start]")) { // what a bar says, as the labels below it
    const { start, said } = column.dataset;
    column.setAttribute("aria-label", column.getAttribute("aria-label").replace(said, minuteOf(start)));
    const line = column.querySelector(".tip text");
    line.textContent = line.textContent.replace(said, minuteOf(start));
  }
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

// A sentence that the page brought along in its language (script_words.py, or its view), with what stands in its braces.
function said(name, values = {}) {
  const words = document.querySelector(`[data-words-${name}]`).getAttribute(`data-words-${name}`);
  return words.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
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

// While the box cannot be reached, a sentence of ours instead of the browser's own page. By HTTPS, and on localhost.
const manifest = document.querySelector("link[rel=manifest]");
if (manifest && navigator.serviceWorker)
  addEventListener("load", () => {
    navigator.serviceWorker.register(new URL("worker.js", manifest.href)).catch(() => {});
    navigator.serviceWorker.ready.then((registration) => registration.active.postMessage(document.documentElement.lang));
  });

localise(document);
