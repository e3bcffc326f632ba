/** The switch of runtimes, one row for each library. */

import { type TemplateResult, html } from "lit-html";
import { live } from "lit-html/directives/live.js";
import type { App } from "../app.js";
import { type Choice, titleOf } from "../runtimes/index.js";

export function runtimesView(app: App): TemplateResult {
  const libraries = new Set(app.choices.map(({ engine }) => engine.library));
  return html`<fieldset class="runtimes" ?hidden=${app.choices.length === 0}>
    <legend class="unseen">Runtime</legend>
    ${[...libraries].map(
      (library) => html`<div role="group" aria-label=${library}>
        <span class="library" aria-hidden="true">${library}</span>
        ${app.choices.filter(({ engine }) => engine.library === library).map((choice) => chip(app, choice))}
      </div>`,
    )}
  </fieldset>`;
}

function chip(app: App, { engine, obstacle }: Choice): TemplateResult {
  return html`<label class="chip" title=${obstacle}>
    <input
      type="radio"
      name="runtime"
      value=${engine.id}
      aria-label=${obstacle ? `${titleOf(engine)}: ${obstacle}` : titleOf(engine)}
      .checked=${live(app.engine === engine)}
      ?disabled=${obstacle !== ""}
      @change=${() => app.use(engine)}
    />
    <span>${engine.backend}</span>
  </label>`;
}
