/** From a network's scores to labels. Pure: no browser, no runtime. */

/** What the scores are: `logits` need a softmax, `probabilities` do not. */
export type Scores = "probabilities" | "logits";

/** A label with its place among the labels and its probability, 0..1. */
export interface Prediction<Label extends string = string> {
  readonly label: Label;
  readonly index: number;
  readonly probability: number;
}

/** Probabilities of all classes. A single sigmoid score p is that of the second of two classes. */
export function probabilities(scores: ArrayLike<number>, kind: Scores): number[] {
  const values = kind === "logits" ? softmax(scores) : Array.from(scores);
  return values.length === 1 ? [1 - values[0]!, values[0]!] : values;
}

/** The `k` most probable labels, best first; of equal ones the earlier label first. */
export function topK<Label extends string>(
  probabilities: readonly number[],
  labels: readonly Label[],
  k: number,
): Prediction<Label>[] {
  return labels
    .map((label, index) => ({ label, index, probability: probabilities[index]! }))
    .sort((a, b) => b.probability - a.probability || a.index - b.index)
    .slice(0, k);
}

function softmax(scores: ArrayLike<number>): number[] {
  const values = Array.from(scores);
  const highest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - highest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}
