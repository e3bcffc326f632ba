/** The TypeScript client in a browser, with its database: what it did is asked of the host as a path. */

import { openDatabase } from "../../../web_demo/src/updates/storage.js";
import { Updates } from "../../../web_demo/src/updates/updates.js";

const query = new URLSearchParams(location.search);
const device = { platform: "web", target: "tfjs", app: "1", os: "", user: "user1", interface: null };
const channel = { url: location.origin, name: "lamp", keys: [query.get("key")!], bundled: "0.9" };

async function visit(): Promise<string> {
  const storage = await openDatabase();
  const updates = new Updates(channel, device, storage);
  const before = await updates.active();
  const { kind, reason } = await updates.check(async (read, { model }) => {
    return (await read(model.artifact + "/model.json")).length === 200_000;
  });
  const after = await updates.active();
  const kept = new Set((await storage.list()).map((path) => path.split("/")[1]));
  return [before?.version, kind, reason, after?.version, kept.size - 1].join(" ");
}

const told = await visit().catch(String);
await fetch(`/told/${encodeURIComponent(told)}`);
