// Comforts of charts: arrow keys from bar to bar, and the picture as a PNG.
"use strict";

// One stop of the Tab key for each chart; its columns by the arrow keys. Without this script each column is a stop.
function columnsOf(chart) {
  return [...chart.querySelectorAll(".column")];
}

function oneStop(chart) {
  const columns = columnsOf(chart);
  const current = columns.find((column) => column === document.activeElement) || columns[columns.length - 1];
  for (const column of columns) column.setAttribute("tabindex", column === current ? "0" : "-1");
}

const MOVES = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -24, ArrowDown: 24, Home: -Infinity, End: Infinity };

document.addEventListener("keydown", (event) => {
  const column = event.target.closest?.(".chart .column");
  if (!column || !(event.key in MOVES) || event.ctrlKey || event.altKey || event.metaKey) return;
  const chart = column.closest(".chart");
  const columns = columnsOf(chart);
  let by = MOVES[event.key];
  if (!chart.classList.contains("heat") && Math.abs(by) === 24) by = Math.sign(by);
  const next = Math.min(columns.length - 1, Math.max(0, columns.indexOf(column) + by));
  event.preventDefault();
  columns[next].focus();
  columns[next].scrollIntoView({ block: "nearest", inline: "nearest" });
  oneStop(chart);
});

// A PNG, drawn by the browser from the file that stands alone: twice its size, for paper.
const PNG_SCALE = 2;

async function savePng(button) {
  const address = button.dataset.png;
  const answer = await fetch(address, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  const drawn = URL.createObjectURL(new Blob([await answer.text()], { type: "image/svg+xml" }));
  const picture = new Image();
  picture.src = drawn;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = PNG_SCALE * picture.naturalWidth;
  canvas.height = PNG_SCALE * picture.naturalHeight;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(drawn);
  const png = await new Promise((done) => { canvas.toBlob(done, "image/png"); });
  const link = document.createElement("a");
  const name = /filename="([^"]*)\.svg"/.exec(answer.headers.get("Content-Disposition") || "");
  link.download = `${name ? name[1] : "chart"}.png`;
  link.href = URL.createObjectURL(png);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-png]");
  if (button) savePng(button).catch(() => { button.textContent = document.body.dataset.wordsPngAgain; });
});

const prepare = () => document.querySelectorAll(".chart").forEach(oneStop);
new MutationObserver(prepare).observe(document.getElementById("main"), { childList: true, subtree: true });
prepare();
