/** The answer in big letters. Where a label is a hot dog, the only question is whether this is one. */

import { type TemplateResult, html, nothing } from "lit-html";
import type { App } from "../app.js";
import { percent, spoken } from "./figures.js";

const HOT_DOG = /^hot[ _-]?dog$/i;

export function banner(app: App): TemplateResult {
  const [text, kind] = said(app);
  const live = app.camera ? "off" : "polite"; // else a screen reader would tell every frame
  return html`<p class="banner ${kind}" role="status" aria-live=${live} id="banner">
    ${kind === "yes" || kind === "no" ? html`<span class="mark" aria-hidden="true">${mark(kind)}</span>` : nothing}
    <span>${text}</span>
  </p>`;
}

function said({ answer, bundle }: App): [text: string, kind: "yes" | "no" | "plain" | "empty"] {
  const best = answer?.predictions[0];
  if (!best) return ["", "empty"];
  if (bundle!.about.labels.some((label) => HOT_DOG.test(label))) {
    return HOT_DOG.test(best.label) ? ["Hotdog!", "yes"] : ["Not hotdog", "no"];
  }
  return [`${spoken(best.label)} · ${percent(best.probability)}`, "plain"];
}

function mark(kind: "yes" | "no"): TemplateResult {
  const stroke = kind === "yes" ? "M6 13l4.5 4.5L18.5 8" : "M7 7l11 11M18 7L7 18";
  return html`<svg viewBox="0 0 25 25"><path d=${stroke} /></svg>`;
}
