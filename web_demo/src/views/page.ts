/** The whole page: header, runtimes, and the four tabs. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { App, Tab } from "../app.js";
import { benchmarkView } from "./benchmark.js";
import { bundleView } from "./bundle.js";
import { comparisonView } from "./comparison.js";
import { runtimesView } from "./runtimes.js";
import { selfTestView } from "./self_test.js";
import { tryView } from "./try.js";

const TABS: readonly { tab: Tab; title: string; view: (app: App) => TemplateResult }[] = [
  { tab: "try", title: "Try it", view: tryView },
  { tab: "compare", title: "Compare", view: comparisonView },
  { tab: "test", title: "Self-test", view: selfTestView },
  { tab: "benchmark", title: "Benchmark", view: benchmarkView },
];

export function page(app: App): TemplateResult {
  return html`
    <header>
      <img src="icon.svg" alt="" width="44" height="44" />
      <div>
        <h1>${app.bundle ? app.bundle.about.name.replaceAll("_", " ") : "mlc demo"}</h1>
        <p>${app.bundle?.manifest.model.description || "One network in every runtime of your browser."}</p>
      </div>
    </header>
    <main>
      ${runtimesView(app)}
      <div class="tabs" role="tablist" aria-label="Views" @keydown=${(e: KeyboardEvent) => turn(app, e)}>
        ${TABS.map(
          ({ tab, title }) => html`<button
            role="tab"
            id="tab-${tab}"
            aria-controls="panel"
            aria-selected=${app.tab === tab}
            tabindex=${app.tab === tab ? 0 : -1}
            @click=${() => app.show(tab)}
          >
            ${title}
          </button>`,
        )}
      </div>
      <p class="status" role="status" aria-live="polite" id="status">${app.busy}</p>
      ${app.problem ? html`<p class="problem" role="alert" id="problem">${app.problem}</p>` : nothing}
      <div role="tabpanel" id="panel" aria-labelledby="tab-${app.tab}" aria-busy=${app.busy !== ""}>
        ${TABS.find(({ tab }) => tab === app.tab)!.view(app)}
      </div>
    </main>
    ${bundleView(app)}
  `;
}

/** Arrows, Home and End move between tabs, as the tabs pattern of WAI-ARIA has it. */
function turn(app: App, event: KeyboardEvent): void {
  const at = TABS.findIndex(({ tab }) => tab === app.tab);
  const last = TABS.length - 1;
  const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  app.show(TABS[to]!.tab);
  document.getElementById(`tab-${TABS[to]!.tab}`)?.focus();
}
