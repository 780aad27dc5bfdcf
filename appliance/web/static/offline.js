// The page that was asked for comes as soon as the box answers.
"use strict";

const start = new URL("./", document.querySelector("link[rel=manifest]").href);

async function look() {
  try {
    const answer = await fetch(new URL("health", start), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (answer.ok) return location.pathname === `${start.pathname}offline` ? location.replace(start) : location.reload();
  } catch { /* not yet */ }
  setTimeout(look, 2000);
}

look();
