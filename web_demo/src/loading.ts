/** From an engine and a bundle to a model that has run once. */

import { type Description, Model, type Tensors } from "@mlc/bindings/model.js";
import type { Bundle } from "./bundle.js";
import type { Engine } from "./runtimes/index.js";

/** A model that is ready, and what it took. */
export interface Loaded {
  readonly engine: Engine;
  readonly model: Model;
  /** Milliseconds until it was ready: library, artifact, compilation. */
  readonly loadMs: number;
  /** Milliseconds of the first run, in which GPUs compile their shaders. */
  readonly firstMs: number;
  readonly artifactBytes: number;
  /** Bytes of code that had to be fetched for it, beyond what the page had already. */
  readonly codeBytes: number;
}

export async function load(engine: Engine, bundle: Bundle): Promise<Loaded> {
  const start = performance.now();
  const model = new Model(bundle.about, await engine.open(bundle));
  const ready = performance.now();
  try {
    await model.run(zeros(bundle.about));
  } catch (error) {
    model.close();
    throw error;
  }
  const ran = performance.now();
  return {
    engine,
    model,
    loadMs: ready - start,
    firstMs: ran - ready,
    artifactBytes: bundle.about.artifacts[engine.target]!.bytes,
    codeBytes: codeBytes(start, ran),
  };
}

/** An input of every shape that the network takes; what was left open is 1. */
export function zeros(about: Description): Tensors {
  return Object.fromEntries(
    about.inputs.map(({ name, shape }) => {
      const sizes = shape.map((size) => size ?? 1);
      const count = sizes.reduce((product, size) => product * size, 1);
      return [name, { data: new Float32Array(count), shape: sizes }];
    }),
  );
}

function codeBytes(from: number, to: number): number {
  const entries = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
  return entries
    .filter(({ name, startTime }) => /\/(assets|libraries)\//.test(name) && startTime >= from && startTime <= to)
    .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
}
