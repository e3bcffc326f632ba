/** Which bundle this is, and how to take another one. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { App } from "../app.js";
import { Bundle, fromFiles, fromUrl } from "../bundle.js";
import { filesOf } from "../drops.js";

export function bundleView(app: App): TemplateResult {
  return html`<footer>
    ${app.bundle ? facts(app) : nothing}
    <details ?open=${app.bundle === null && app.problem !== ""}>
      <summary>Open another bundle</summary>
      <form class="row" @submit=${(e: SubmitEvent) => submit(app, e)}>
        <label class="grow">Address <input name="url" inputmode="url" placeholder="https://…/dist/" required /></label>
        <button type="submit">Open</button>
        <label class="button">
          <input class="unseen" type="file" webkitdirectory id="folder" @change=${(e: Event) => picked(app, e)} />
          Choose a folder
        </label>
      </form>
      <p class="hint">Or drop the folder that <code>mlc build</code> wrote anywhere on this page. Nothing leaves this device.</p>
    </details>
  </footer>`;
}

function facts(app: App): TemplateResult {
  const { about, manifest } = app.bundle!;
  return html`<p class="hint">
    ${about.name} ${about.version} · ${manifest.recipe} · trained file <code>${about.source.slice(0, 12)}</code>
    ${manifest.model.license ? html`· ${manifest.model.license}` : nothing}
    ${app.news ? html`· <span id="news">${app.news}</span>` : nothing}
  </p>`;
}

function submit(app: App, event: SubmitEvent): void {
  event.preventDefault();
  const url = String(new FormData(event.target as HTMLFormElement).get("url"));
  void app.openBundle(() => Bundle.open(fromUrl(url)));
}

function picked(app: App, event: Event): void {
  const { files } = event.target as HTMLInputElement;
  if (!files?.length) return;
  const read = fromFiles(filesOf(files));
  void app.openBundle(() => Bundle.open(read));
}
