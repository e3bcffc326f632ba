/** One picture through the network, timed. */

import { type Prediction, probabilities, topK } from "@mlc/bindings/classification.js";
import type { Model } from "@mlc/bindings/model.js";
import type { Pixels } from "@mlc/bindings/preprocessing.js";

export interface Answer {
  /** Best first; empty where the outputs are no class scores. */
  readonly predictions: readonly Prediction[];
  /** Probabilities in the order of the labels. */
  readonly scores: readonly number[];
  /** Milliseconds for the pixels, and for the network. */
  readonly pixelMs: number;
  readonly networkMs: number;
}

export async function answer(model: Model, pixels: Pixels): Promise<Answer> {
  const { classifier, labels } = model.about;
  const start = performance.now();
  const inputs = model.inputs(pixels);
  const prepared = performance.now();
  const outputs = await model.run(inputs);
  const end = performance.now();
  const scores = classifier
    ? probabilities(outputs[classifier.output]!.data, classifier.scores)
    : [];
  return {
    predictions: topK(scores, labels, scores.length),
    scores,
    pixelMs: prepared - start,
    networkMs: end - prepared,
  };
}
