/** Starts the page: `?bundle=URL` another bundle, `?runtime=tfjs-wasm` another runtime than the first. */

import { render } from "lit-html";
import { App } from "./app.js";
import { Bundle, fromUrl } from "./bundle.js";
import { follow } from "./channel.js";
import { takeDrops } from "./drops.js";
import { keepForOffline } from "./offline.js";
import { page } from "./views/page.js";

const root = document.getElementById("app")!;
const app = new App((app) => render(page(app), root));
app.changed();
takeDrops(app);

const query = new URLSearchParams(location.search);
root.dataset["offline"] = String(await keepForOffline()); // first, so that the first load is kept
const [asked, runtime] = [query.get("bundle"), query.get("runtime")];
await app.openBundle(() => Bundle.open(fromUrl(asked ?? "bundle/")), runtime);
if (asked === null) await follow(app, runtime);
