// Says in one sentence that the box cannot be reached. It keeps that page and the files it needs (KEPT, which the site
// writes above this), and never a page with anything of people. Every page tells it its language, in which that one is
// kept then.
"use strict";

const OFFLINE = KEPT[0];
const OURS = `mb9k ${registration.scope} `; // two sites may share an origin, each below a path
const SHELF = OURS + KEPT.join(" ");
const SAID_BY_A_PROXY = [502, 504]; // which stands before a box that does not answer

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELF).then((shelf) => shelf.addAll(KEPT)).then(() => skipWaiting()));
});

async function takeOver() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(OURS) && name !== SHELF).map((name) => caches.delete(name)));
  await clients.claim();
}

self.addEventListener("activate", (event) => event.waitUntil(takeOver()));

async function kept(path) {
  return (await caches.open(SHELF)).match(path);
}

async function speak(language) {
  const said = await (await kept(OFFLINE))?.text();
  if (!said?.includes(`<html lang="${language}"`)) await (await caches.open(SHELF)).add(OFFLINE);
}

self.addEventListener("message", (event) => {
  event.waitUntil(speak(event.data).catch(() => {})); // the next page asks again
});

async function page(request) {
  try {
    const answer = await fetch(request);
    return (SAID_BY_A_PROXY.includes(answer.status) && await kept(OFFLINE)) || answer;
  } catch (error) {
    const said = await kept(OFFLINE);
    if (said) return said;
    throw error;
  }
}

// The shelf comes second: browsers have been seen to wait minutes for it, and no page may wait while the box answers.
async function file(request, path) {
  try {
    return await fetch(request);
  } catch (error) {
    const found = await kept(path);
    if (found) return found;
    throw error;
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = new URL(request.url).pathname;
  if (request.method !== "GET") return; // a form that was not sent must not look as if it had been
  if (request.mode === "navigate") event.respondWith(page(request));
  else if (KEPT.slice(1).includes(path)) event.respondWith(file(request, path));
});
