/**
 * Keeps the page, the catalogue and the images that were looked at, for when there is no connection.
 *
 * The page and JSON come from the network first, and from what was kept where it does not answer. Images come from
 * what was kept first, and are looked up again behind the reader's back, once a visit. Raise VERSION with a release
 * that changes what is kept or how; the former release's page and JSON are then dropped.
 */
const VERSION = "1";
const PREFIX = "estinel-";
const SHELL = `${PREFIX}shell-${VERSION}`;
const DOCUMENTS = `${PREFIX}documents-${VERSION}`;
/** Images outlive releases: the same address holds the same picture. */
const IMAGES = `${PREFIX}images`;

const MAX_IMAGES = 600;
const MAX_DOCUMENTS = 150;
/** Requests between two looks at how many are kept. */
const TRIM_EVERY = 40;
/** What was kept is shown when the network is silent for this long, in milliseconds. */
const PATIENCE_MS = 8000;

const PAGE = ["./", "app/icon.svg", "app/outlines.json", "manifest.webmanifest"];
const SCOPE = new URL(self.registration.scope);
const IMAGE_NAME = /\.(png|jpe?g|webp|avif|gif)$/i;

const lookedUp = new Set();
let kept = 0;

self.addEventListener("install", (event) => {
  event.waitUntil(keepPage().then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropFormer().then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  const addresses = event.data?.keep;
  if (Array.isArray(addresses)) event.waitUntil(keepAll(addresses.filter((address) => typeof address === "string")));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const kind = request.headers.has("range") ? null : kindOf(request.method, request.url, request.destination);
  if (kind === "image") event.respondWith(keptFirst(event));
  else if (kind !== null) event.respondWith(networkFirst(event, kind === "page" ? SHELL : DOCUMENTS));
});

function kindOf(method, address, destination) {
  if (method !== "GET" || !/^https?:/.test(address)) return null;
  const url = new URL(address);
  const isOurs = url.origin === SCOPE.origin && url.pathname.startsWith(SCOPE.pathname);
  const path = isOurs ? url.pathname.slice(SCOPE.pathname.length) : "";
  const isPage = path === "" || path === "index.html" || path === "manifest.webmanifest" || /^(app|css)\//.test(path);
  if (isOurs && isPage) return "page";
  if (destination === "image" || IMAGE_NAME.test(url.pathname)) return "image";
  return /\.json(\.gz)?$/i.test(url.pathname) && destination !== "document" ? "document" : null;
}

async function keepPage() {
  const cache = await caches.open(SHELL);
  await Promise.all(PAGE.map((path) => cache.add(new Request(path, { cache: "no-cache" }))));
  await keepModules(cache, await (await cache.match(pageKey("./"))).text());
}

/** Follows the page's links and its modules' imports: no list of files that could be forgotten. */
async function keepModules(cache, html) {
  const links = [...html.matchAll(/(?:href|src)="((?:app|css)\/[^"]+)"/g)].map(([, path]) => new URL(path, SCOPE).href);
  const waiting = [...new Set(links)];
  const seen = new Set(waiting);
  while (waiting.length > 0) {
    const found = await Promise.all(waiting.splice(0).map((address) => keepModule(cache, address)));
    for (const address of found.flat()) {
      if (!seen.has(address)) {
        seen.add(address);
        waiting.push(address);
      }
    }
  }
}

async function keepModule(cache, address) {
  const response = await fetch(address, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${address} answered HTTP ${response.status}`);
  await cache.put(address, response.clone());
  if (!address.endsWith(".js")) return [];
  const source = await response.text();
  const names = [...source.matchAll(/(?:from|import|import\(|new URL\()\s*"(\.{1,2}\/[^"]+\.(?:js|json))"/g)];
  return names.map(([, name]) => new URL(name, address).href).filter((name) => !name.endsWith("/sw.js"));
}

async function dropFormer() {
  const current = [SHELL, DOCUMENTS, IMAGES];
  const names = await caches.keys();
  const former = names.filter((name) => name.startsWith(PREFIX) && !current.includes(name));
  await Promise.all(former.map((name) => caches.delete(name)));
}

async function keepAll(addresses) {
  for (const address of addresses) {
    const kind = kindOf("GET", address, "");
    if (kind === null) continue;
    const name = kind === "image" ? IMAGES : kind === "page" ? SHELL : DOCUMENTS;
    const cache = await caches.open(name);
    if ((await cache.match(address, { ignoreVary: true })) !== undefined) continue;
    // From the browser's own cache where it is still there; another host's image needs no permission to be shown.
    const mode = kind === "image" && new URL(address).origin !== SCOPE.origin ? "no-cors" : "cors";
    const response = await fetch(address, { mode, cache: "force-cache" }).catch(() => null);
    if (response !== null && isGood(response)) await keep(name, address, response);
  }
}

async function networkFirst(event, name) {
  const key = pageKey(event.request.url);
  const cache = await caches.open(name);
  const found = cache.match(key, { ignoreVary: true });
  const { request } = event;
  // A new release must not be mixed with what the browser still holds of the former one.
  const fresh = request.mode === "navigate" ? request : new Request(request, { cache: "no-cache" });
  const answer = fetch(fresh).then((response) => {
    if (isGood(response) && !response.redirected) event.waitUntil(keep(name, key, response.clone()));
    return response;
  });
  // Whoever loses the race below must not be an unhandled failure.
  answer.catch(() => {});
  const silence = new Promise((resolve) => {
    setTimeout(resolve, PATIENCE_MS, null);
  });
  try {
    const first = await Promise.race([answer, silence]);
    if (first !== null && (first.status < 500 || (await found) === undefined)) return first;
    return (await found) ?? (await answer);
  } catch (error) {
    const response = await found;
    if (response !== undefined) return response;
    throw error;
  }
}

async function keptFirst(event) {
  const { request } = event;
  const cache = await caches.open(IMAGES);
  const found = await cache.match(request.url, { ignoreVary: true });
  // A picture kept without permission to read its pixels is of no use to a request that needs them.
  const fits = found !== undefined && (found.type !== "opaque" || request.mode === "no-cors");
  if (!fits) return lookUp(event);
  if (!lookedUp.has(request.url)) event.waitUntil(lookUp(event).then(() => {}, () => {}));
  return found;
}

async function lookUp(event) {
  const { request } = event;
  const response = await fetch(request);
  if (isGood(response)) {
    lookedUp.add(request.url);
    event.waitUntil(keep(IMAGES, request.url, response.clone()));
  }
  return response;
}

async function keep(name, key, response) {
  const cache = await caches.open(name);
  try {
    await cache.put(key, response);
  } catch (error) {
    if (error.name !== "QuotaExceededError") throw error;
    await trim(IMAGES, MAX_IMAGES / 4);
    return;
  }
  kept += 1;
  if (kept % TRIM_EVERY === 0) {
    await trim(IMAGES, MAX_IMAGES);
    await trim(DOCUMENTS, MAX_DOCUMENTS);
  }
}

/** Drops those that were kept first. */
async function trim(name, most) {
  const cache = await caches.open(name);
  const keys = await cache.keys();
  await Promise.all(keys.slice(0, Math.max(0, keys.length - most)).map((key) => cache.delete(key)));
}

/** One page, whatever it is asked to show. */
function pageKey(address) {
  const url = new URL(address, SCOPE);
  url.hash = "";
  const isPage = url.href.split("?", 1)[0] === SCOPE.href || url.pathname === `${SCOPE.pathname}index.html`;
  return isPage ? SCOPE.href : url.href;
}

function isGood(response) {
  return response.status === 200 || response.type === "opaque";
}
