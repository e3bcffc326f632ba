/** The service worker, which keeps the page and what it used for times without a network. */

const PATIENCE = 10_000;

/**
 * Resolves when what is fetched from now on is kept. False where it is not: no https, a private window,
 * or a browser without service workers; the page works all the same, with a network.
 */
export async function keepForOffline(): Promise<boolean> {
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;
  if (!workers) return false;
  try {
    await workers.register("service_worker.js");
    if (workers.controller) return true;
    return await new Promise<boolean>((resolve) => {
      workers.addEventListener("controllerchange", () => resolve(true), { once: true });
      setTimeout(() => resolve(false), PATIENCE);
    });
  } catch {
    return false;
  }
}
