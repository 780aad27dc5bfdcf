// A review by keys: arrows lead from one detection to the next, a letter presses the button that shows it. Without this
// script the links and buttons do it.
"use strict";

let sent = false;

function isTyping(element) {
  return element?.closest?.("input:not([type=checkbox]), select, textarea, summary, [contenteditable], svg");
}

function tiles() {
  return [...document.querySelectorAll(".pick:not(.gone) > .tile")];
}

function lead(direction) {
  const link = document.querySelector(`.pager a[rel=${direction > 0 ? "next" : "prev"}]`);
  const all = tiles();
  const here = all.indexOf(document.activeElement?.closest(".pick")?.querySelector(".tile"));
  if (!all.length || (here >= 0 && !all[here + direction])) return link && (sent = true, link.click());
  (here < 0 ? all[0] : all[here + direction]).focus();
}

// In a list: those selected, or else the one that has the focus.
function select(button) {
  const boxes = [...button.form.querySelectorAll("[name=id]")];
  if (!boxes.length || boxes.some((box) => box.checked)) return true;
  const here = document.activeElement?.closest(".pick")?.querySelector("[name=id]");
  if (here) here.checked = true;
  return Boolean(here);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || sent || isTyping(event.target)) return;
  const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const key = event.key.toLowerCase();
  const box = key === "x" && document.activeElement?.closest(".pick")?.querySelector("[name=id]");
  const button = document.querySelector(`.review button[data-key="${CSS.escape(key)}"]`);
  if (direction) lead(direction);
  else if (box) box.click();
  else if (button && !event.repeat && select(button)) {
    sent = true;
    button.click();
  } else return;
  event.preventDefault();
});

// Back from the browser's cache: the page may be asked again.
addEventListener("pageshow", () => {
  sent = false;
});

// After a form the address names the one that follows. Only once all is there: the browser itself goes to the place that
// the address names, and takes the focus away by that.
addEventListener("load", () => setTimeout(() => {
  if (location.hash.startsWith("#detection-")) document.getElementById(location.hash.slice(1))?.querySelector(".tile")?.focus();
}));
