/** Every runtime on the same picture, side by side. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { App } from "../app.js";
import { type Opinion, judge } from "../comparison.js";
import { titleOf } from "../runtimes/index.js";
import { megabytes, milliseconds, percent, spoken } from "./figures.js";

export function comparisonView(app: App): TemplateResult {
  return html`<section class="card">
    <div class="row">
      ${app.photo ? html`<img class="thumbnail" src=${app.photo.url} alt=${app.photo.name} />` : nothing}
      <p class="grow">
        The same picture through every runtime, each with its own artifact of this bundle: do they agree?
      </p>
      <button
        type="button"
        class="primary"
        id="compare"
        ?disabled=${app.busy !== "" || !app.photo || !app.bundle?.about.classifier}
        @click=${() => app.compare()}
      >
        Ask all
      </button>
    </div>
    ${app.opinions.length > 0 ? [verdict(app), table(app)] : nothing}
  </section>`;
}

function verdict(app: App): TemplateResult {
  const { agreed, count, spread } = judge(app.opinions);
  const all = agreed !== null && count > 1;
  const text =
    count < 2
      ? "One answer so far."
      : agreed !== null
        ? `All ${count} agree: ${spoken(agreed)}.`
        : `The ${count} do not agree.`;
  return html`<p class="verdict ${all ? "good" : count < 2 ? "" : "bad"}" id="verdict" role="status"
    >${text} ${count < 2 ? nothing : html`<span class="hint">Largest difference of a probability: ${percent(spread)}</span>`}
  </p>`;
}

function table(app: App): TemplateResult {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Answers by runtime">
    <table id="opinions">
      <thead>
        <tr>
          <th scope="col">Runtime</th>
          <th scope="col">Answer</th>
          <th scope="col" class="figure">Probability</th>
          <th scope="col" class="figure">Network</th>
          <th scope="col" class="figure">Load</th>
          <th scope="col" class="figure">Model</th>
        </tr>
      </thead>
      <tbody>
        ${app.opinions.map((opinion) => row(app, opinion))}
      </tbody>
    </table>
  </div>`;
}

function row(app: App, opinion: Opinion): TemplateResult {
  const { id, target } = opinion.engine;
  if ("problem" in opinion) {
    return html`<tr data-runtime=${id}>
      <th scope="row">${titleOf(opinion.engine)}</th>
      <td colspan="5" class="bad">${opinion.problem}</td>
    </tr>`;
  }
  const { answer, loaded } = opinion;
  const best = answer.predictions[0]!;
  return html`<tr data-runtime=${id} data-scores=${answer.scores.join(" ")}>
    <th scope="row">${loaded.model.runtime.name}<small>${app.bundle!.precision(target)}</small></th>
    <td>${spoken(best.label)}</td>
    <td class="figure">${percent(best.probability)}</td>
    <td class="figure">${milliseconds(answer.networkMs)}</td>
    <td class="figure">${milliseconds(loaded.loadMs)}</td>
    <td class="figure">${megabytes(loaded.artifactBytes)}</td>
  </tr>`;
}
