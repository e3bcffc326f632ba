/** Median and tails of the time per run, as a table and as JSON to paste into a report. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { App } from "../app.js";
import type { Engine } from "../runtimes/index.js";
import { megabytes, milliseconds } from "./figures.js";

export function benchmarkView(app: App): TemplateResult {
  const ready = app.busy === "" && app.loaded !== null;
  return html`<section class="card">
    <form class="row" @submit=${(e: SubmitEvent) => submit(app, e)}>
      <label>Warm-up <input type="number" name="warmUp" value="3" min="0" max="1000" required /></label>
      <label>Runs <input type="number" name="runs" value="30" min="1" max="10000" required /></label>
      <span class="grow"></span>
      <button type="submit" class="primary" name="which" value="own" ?disabled=${!ready}>This runtime</button>
      <button type="submit" name="which" value="all" ?disabled=${!ready}>All runtimes</button>
    </form>
    <p class="hint">The network alone, on the current picture. Leave the page in front while it runs.</p>
    ${app.benchmarks.length > 0 ? [table(app), json(app)] : nothing}
  </section>`;
}

function table(app: App): TemplateResult {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Times by runtime">
    <table id="times">
      <thead>
        <tr>
          <th scope="col">Runtime</th>
          <th scope="col" class="figure">Median</th>
          <th scope="col" class="figure">p90</th>
          <th scope="col" class="figure">p99</th>
          <th scope="col" class="figure">Load</th>
          <th scope="col" class="figure">Model</th>
          <th scope="col" class="figure">Code</th>
        </tr>
      </thead>
      <tbody>
        ${app.benchmarks.map(
          (b) => html`<tr>
            <th scope="row">${b.runtime}</th>
            ${[b.medianMs, b.p90Ms, b.p99Ms, b.loadMs].map((value) => html`<td class="figure">${milliseconds(value)}</td>`)}
            <td class="figure">${megabytes(b.artifactBytes)}</td>
            <td class="figure">${b.codeBytes ? megabytes(b.codeBytes) : "–"}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function json(app: App): TemplateResult {
  const { name, version, source } = app.bundle!.about;
  const text = JSON.stringify(
    {
      model: { name, version, source, recipe: app.bundle!.manifest.recipe },
      browser: navigator.userAgent,
      processors: navigator.hardwareConcurrency,
      wasmThreads: crossOriginIsolated,
      benchmarks: app.benchmarks,
    },
    (key, value: unknown) => (key.endsWith("Ms") ? Number((value as number).toFixed(3)) : value),
    1,
  );
  return html`<div class="row">
      <h2 class="grow">JSON</h2>
      <button type="button" id="copy" @click=${(e: Event) => copy(e.target as HTMLButtonElement, text)}>Copy</button>
    </div>
    <pre id="json" tabindex="0" aria-label="Times as JSON">${text}</pre>`;
}

async function copy(button: HTMLButtonElement, text: string): Promise<void> {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
}

function submit(app: App, event: SubmitEvent): void {
  event.preventDefault();
  const form = new FormData(event.target as HTMLFormElement, event.submitter);
  const engines: readonly Engine[] = form.get("which") === "all" ? app.usable : [app.loaded!.engine];
  void app.measure(Number(form.get("warmUp")), Number(form.get("runs")), engines);
}
