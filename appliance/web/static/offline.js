// The page that was asked for comes as soon as the box answers.
"use strict";

const start = new URL("./", document.querySelector("link[rel=manifest]").href);

async function look() {
  try {
    const answer = await fetch(new URL("health", start), { cache: "no-store", signal: AbortSignal.timeout(5000) });
    if (answer.ok) return location.reload();
  } catch { /* not yet */ }
  setTimeout(look, 2000);
}

if (location.pathname !== `${start.pathname}offline`) look(); // else somebody only looks at this page
