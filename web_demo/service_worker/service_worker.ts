/** Keeps the page working without a network: what was fetched once is kept. */

export {}; // a module, so that `self` is this kind of worker's
declare const self: ServiceWorkerGlobalScope;
/** Set by build.mjs: files of the page itself, and a digest of the build. */
declare const SHELL: readonly string[];
declare const VERSION: string;

const PAGE = `page-${VERSION}`;
const BUNDLES = "bundles";
/** What update channels serve (docs/channel.md): the client of the page keeps and checks that itself. */
const OF_CHANNELS = /\/(models\.json|(files|signatures)\/[0-9a-f]{64})$/;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(PAGE)
      .then((cache) => cache.addAll(SHELL))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(tidy().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith("http") || OF_CHANNELS.test(request.url)) return;
  const inside = request.url.replace(self.registration.scope, "");
  if (/^(assets|libraries)\//.test(inside)) event.respondWith(keptFirst(request));
  else if (request.mode === "navigate") event.respondWith(freshFirst(request, PAGE, { ignoreSearch: true }));
  else event.respondWith(freshFirst(request, BUNDLES, {}));
});

/** Files that are named after their content or version. */
async function keptFirst(request: Request): Promise<Response> {
  const kept = await caches.match(request.url);
  return kept ?? keep(request, await fetch(request), PAGE);
}

/** Files that may change: pages, and bundles that were built again. */
async function freshFirst(request: Request, cache: string, options: CacheQueryOptions): Promise<Response> {
  try {
    return await keep(request, await fetch(request), cache);
  } catch (error) {
    const kept = await caches.match(request.url, options);
    if (!kept) throw error;
    return kept;
  }
}

async function keep(request: Request, response: Response, cache: string): Promise<Response> {
  if (response.status !== 200) return response;
  const copy = response.clone();
  try {
    await (await caches.open(cache)).put(request.url, copy);
  } catch {
    // The browser's quota is used up: the page works on, with a network.
  }
  return response;
}

async function tidy(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name !== PAGE && name !== BUNDLES);
  await Promise.all(old.map((name) => caches.delete(name)));
}
