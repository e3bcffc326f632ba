/** The golden cases on this device: what the original network answered, and what this runtime does. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { CaseResult } from "@mlc/bindings/golden.js";
import type { App } from "../app.js";
import { addressOf } from "../pictures.js";
import { spoken } from "./figures.js";

export function selfTestView(app: App): TemplateResult {
  return html`<section class="card">
    <div class="row">
      <p class="grow">
        Inputs that the bundle carries, with the answers of the original network: is this device within the
        tolerance of its artifact?
      </p>
      <button
        type="button"
        class="primary"
        id="run-test"
        ?disabled=${app.busy !== "" || !app.loaded}
        @click=${() => app.test()}
      >
        Run the self-test
      </button>
    </div>
    ${app.cases ? [verdict(app, app.cases), html`<ol class="cases" id="cases">${app.cases.map((c) => row(app, c))}</ol>`] : nothing}
  </section>`;
}

function verdict(app: App, cases: readonly CaseResult[]): TemplateResult {
  const passed = cases.filter((c) => c.passed).length;
  return html`<p class="verdict ${passed === cases.length ? "good" : "bad"}" id="verdict" role="status"
    >${passed === cases.length ? "Passed" : "Failed"}: ${passed} of ${cases.length} on
    ${app.loaded!.model.runtime.name}.</p
  >`;
}

function row(app: App, result: CaseResult): TemplateResult {
  const picture = app.golden?.cases.find(({ name }) => name === result.name)?.picture;
  const worst = result.outputs.reduce((a, b) => (b.error / b.tolerance > a.error / a.tolerance ? b : a));
  return html`<li data-passed=${result.passed}>
    ${picture ? html`<img class="thumbnail" src=${addressOf(picture)} alt="" />` : nothing}
    <span class="grow">
      <strong>${result.name}</strong>
      ${result.expected === null
        ? nothing
        : html`<span>${spoken(result.expected)}${result.got === result.expected ? "" : ` → ${spoken(result.got!)}`}</span>`}
      <small>
        ${result.reason ||
        `off by ${worst.error.toPrecision(2)} of ${worst.tolerance.toPrecision(2)} allowed${result.pixelError === null ? "" : `, pixels by ${result.pixelError.toFixed(1)}`}`}
      </small>
    </span>
    <span class="badge ${result.passed ? "good" : "bad"}">${result.passed ? "pass" : "fail"}</span>
  </li>`;
}
