/** A picture or the camera, the banner, all labels with bars, and what it cost. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { App } from "../app.js";
import { addressOf } from "../pictures.js";
import { banner } from "./banner.js";
import { megabytes, milliseconds, percent, spoken } from "./figures.js";

const MOST_LABELS = 5;

export function tryView(app: App): TemplateResult {
  return html`<div class="try">
    <section class="stage" aria-label="Picture">
      <div class="frame">
        ${app.camera ? app.camera.video : app.photo ? html`<img src=${app.photo.url} alt=${app.photo.name} />` : empty()}
        ${banner(app)}
      </div>
      <div class="actions">
        <label class="button primary">
          <input class="unseen" type="file" accept="image/*" id="photo" @change=${(e: Event) => picked(app, e)} />
          Choose a photo
        </label>
        <button type="button" id="camera" aria-pressed=${app.camera !== null} @click=${() => toggle(app)}>
          ${app.camera ? "Stop the camera" : "Use the camera"}
        </button>
      </div>
      ${examples(app)}
    </section>
    <section class="card" aria-label="Answer">
      ${labels(app)} ${cost(app)}
    </section>
  </div>`;
}

function empty(): TemplateResult {
  return html`<p class="empty">Drop a photo here, paste one, or choose one below.</p>`;
}

function labels({ answer, bundle }: App): TemplateResult {
  if (bundle && !bundle.about.classifier) {
    return html`<p class="hint">This network gives no class scores: the self-test and the benchmark run it.</p>`;
  }
  if (!answer) return html`<p class="hint">The answer of the network appears here.</p>`;
  return html`<ol class="labels" id="labels">
    ${answer.predictions.slice(0, MOST_LABELS).map(
      ({ label, probability }) => html`<li data-label=${label} data-probability=${probability}>
        <span>${spoken(label)}</span><span class="figure">${percent(probability)}</span>
        <div class="bar" aria-hidden="true"><div style="inline-size: ${100 * probability}%"></div></div>
      </li>`,
    )}
  </ol>`;
}

function cost(app: App): TemplateResult | typeof nothing {
  const { loaded, answer } = app;
  if (!loaded) return nothing;
  const rows: [string, string, string?][] = [
    ["Model", `${app.bundle!.precision(loaded.engine.target)}, ${megabytes(loaded.artifactBytes)}`],
    ["Runtime code", loaded.codeBytes ? megabytes(loaded.codeBytes) : "was loaded before"],
    ["Load time", milliseconds(loaded.loadMs)],
    ["First run", milliseconds(loaded.firstMs)],
  ];
  if (answer) rows.push(["Time per picture", milliseconds(answer.pixelMs + answer.networkMs)]);
  if (answer) rows.push(["of it pixels / network", `${milliseconds(answer.pixelMs)} / ${milliseconds(answer.networkMs)}`]);
  if (app.camera) rows.push(["Frames per second", app.framesPerSecond?.toFixed(1) ?? "…", "fps"]);
  if (app.camera) rows.push(["Frames", String(app.frames), "frames"]);
  const tensors = loaded.engine.tensors?.();
  if (tensors !== undefined) rows.push(["Tensors in memory", String(tensors), "tensors"]);
  return html`<h2>${loaded.model.runtime.name}</h2>
    <dl class="figures">
      ${rows.map(([name, value, id]) => html`<dt>${name}</dt><dd id=${id ?? nothing}>${value}</dd>`)}
    </dl>`;
}

function examples(app: App): TemplateResult | typeof nothing {
  const pictures = app.golden?.cases.filter(({ picture }) => picture) ?? [];
  if (pictures.length === 0) return nothing;
  return html`<div class="examples" role="group" aria-label="Example pictures of the bundle">
    ${pictures.map(
      ({ name, picture }) => html`<button
        type="button"
        aria-label="Example ${name}"
        @click=${() => app.openExample(`Example ${name}`, picture!)}
      >
        <img src=${addressOf(picture!)} alt="" />
      </button>`,
    )}
  </div>`;
}

function picked(app: App, event: Event): void {
  const input = event.target as HTMLInputElement;
  const [file] = input.files ?? [];
  if (file) void app.openPhoto(file);
  input.value = ""; // the same photo may be chosen again
}

function toggle(app: App): void {
  if (app.camera) {
    app.stopCamera();
    app.changed();
  } else {
    void app.startCamera();
  }
}
