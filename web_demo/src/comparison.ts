/** The same picture through several runtimes: do they agree? */

import type { Pixels } from "@mlc/bindings/preprocessing.js";
import type { Bundle } from "./bundle.js";
import { type Answer, answer } from "./frame.js";
import { type Loaded, load } from "./loading.js";
import type { Engine } from "./runtimes/index.js";

/** What one runtime said, or why it could not. */
export type Opinion =
  | { readonly engine: Engine; readonly loaded: Loaded; readonly answer: Answer }
  | { readonly engine: Engine; readonly problem: string };

export interface Verdict {
  /** The label that all gave; null where they do not agree. */
  readonly agreed: string | null;
  /** How many gave an answer. */
  readonly count: number;
  /** Largest difference of the probability of any label between any two. */
  readonly spread: number;
}

/** Ask one engine: loaded, run and closed, so that only one model is in memory beside the page's own. */
export async function ask(engine: Engine, bundle: Bundle, pixels: Pixels): Promise<Opinion> {
  try {
    const loaded = await load(engine, bundle);
    try {
      return { engine, loaded, answer: await answer(loaded.model, pixels) };
    } finally {
      loaded.model.close();
    }
  } catch (error) {
    return { engine, problem: error instanceof Error ? error.message : String(error) };
  }
}

export function judge(opinions: readonly Opinion[]): Verdict {
  const answers = opinions.flatMap((o) => ("answer" in o ? [o.answer] : []));
  const labels = new Set(answers.map(({ predictions }) => predictions[0]!.label));
  const [label] = labels;
  const spreads = answers[0]?.scores.map((_, k) => {
    const values = answers.map(({ scores }) => scores[k]!);
    return Math.max(...values) - Math.min(...values);
  });
  return {
    agreed: labels.size === 1 ? label! : null,
    count: answers.length,
    spread: Math.max(0, ...(spreads ?? [])),
  };
}
