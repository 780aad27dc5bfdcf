// A bundle that is sent says how far it is. After renew.js.
"use strict";

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
