// A face is labelled by one key: 1 to 4, and u takes the last one back. Without this script the buttons do it.
"use strict";

let sent = false;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || sent) return;
  if (event.target.closest?.("input, select, textarea")) return;
  const button = document.querySelector(`.calibrate button[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  sent = true;
  button.click();
});

// Back from the browser's cache: the page may be asked again.
addEventListener("pageshow", () => {
  sent = false;
});
