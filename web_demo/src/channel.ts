/**
 * Models over the air: `channel.json` beside the page says where they come from and whose signature counts.
 *
 * The page starts with its own bundle, takes what an earlier visit downloaded, and then asks the channel. An
 * update runs only after its golden cases have passed in this browser.
 */

import type { Target } from "@mlc/bindings/model.js";
import type { App } from "./app.js";
import { Bundle } from "./bundle.js";
import type { Choice } from "./updates/rules.js";
import { openDatabase } from "./updates/storage.js";
import { type Outcome, type Read, Updates } from "./updates/updates.js";

/** What `mlc demo -o --channel` writes; null where the page follows none. */
interface Config {
  readonly url: string;
  readonly name: string;
  readonly keys: readonly string[];
}

/** For the bounds of a release: grows when the page cannot run models that it could run before. */
const APP_VERSION = "1";
const ORDER: readonly Target[] = ["tfjs", "tflite", "onnx"];

/** Look for an update once, and take it. Whatever goes wrong, the page runs what it ran before. */
export async function follow(app: App, runtime: string | null): Promise<void> {
  const config = (await (await fetch("channel.json", { cache: "no-cache" })).json()) as Config | null;
  const own = app.bundle;
  const target = ORDER.find((target) => own?.about.artifacts[target]);
  if (!config || !own || !target) return;
  const device = { platform: "web", target, app: APP_VERSION, os: "", user: user(), interface: null };
  const updates = new Updates({ ...config, bundled: own.about.version }, device, await openDatabase());
  const open = (read: Read) => Bundle.open(async (path) => (await read(path)).buffer, target);
  const take = (choice: Choice | null) =>
    app.openBundle(async () => (choice ? open(updates.reader(choice)) : own), runtime);

  const before = await updates.active();
  if (before) await take(before);
  if (before && !app.loaded) {
    await updates.fallBack();
    await take(await updates.active());
  }
  const outcome = await updates.check(async (read) => app.tryOut(await open(read)), await conditions());
  if (outcome.kind === "updated") await take(await updates.active());
  app.news = said(outcome);
  app.changed();
}

function said({ kind, version, reason, detail }: Outcome): string {
  switch (kind) {
    case "updated":
      return version === null ? "back to the model of this page" : `updated to ${version} just now`;
    case "current":
      return "no newer model";
    case "waiting":
      return `an update waits for ${reason}`;
    case "failed":
      return `no update: ${reason}${detail ? `, ${detail}` : ""}`;
  }
}

/** A random name that stays the same in this browser, and never leaves it. */
function user(): string {
  const known = localStorage.getItem("user") ?? crypto.randomUUID();
  localStorage.setItem("user", known);
  return known;
}

/** What holds now of the conditions of a release, as far as the browser tells. */
async function conditions(): Promise<string[]> {
  const { connection, getBattery } = navigator as Navigator & {
    readonly connection?: { readonly type?: string };
    getBattery?(): Promise<{ readonly charging: boolean }>;
  };
  const found = ["wifi", "ethernet"].includes(connection?.type ?? "") ? ["wifi"] : [];
  if ((await getBattery?.call(navigator))?.charging) found.push("charging");
  return found;
}
