// Live pictures: of a stream, with words over the faces, and of the wall of Home; each with its age.
"use strict";

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

function tellAll() {
  for (const tell of tellAges) tell();
}

document.addEventListener("visibilitychange", tellAll);

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

document.addEventListener("renewed", () => {
  startPreviews();
  tellAll();
});
startPreviews();
