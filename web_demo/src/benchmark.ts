/** How fast a model runs here: the same picture again and again. */

import type { Tensors } from "@mlc/bindings/model.js";
import type { Loaded } from "./loading.js";

/** A percentile is the nearest rank: a time that was measured. */
export interface Benchmark {
  readonly runtime: string;
  readonly warmUp: number;
  readonly runs: number;
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly fastestMs: number;
  readonly loadMs: number;
  readonly firstRunMs: number;
  readonly artifactBytes: number;
  readonly codeBytes: number;
  /** Tensors that the library held before and after the runs; null where it cannot tell. */
  readonly tensors: readonly [number, number] | null;
}

/** Run the network `warmUp` times untimed and `runs` times timed. `progress` gets what is done, 0..1. */
export async function benchmark(
  loaded: Loaded,
  inputs: Tensors,
  { warmUp, runs }: { warmUp: number; runs: number },
  progress: (done: number) => void,
): Promise<Benchmark> {
  const { model, engine } = loaded;
  for (let k = 0; k < warmUp; k++) await model.run(inputs);
  const before = engine.tensors?.();
  const times: number[] = [];
  for (let k = 0; k < runs; k++) {
    const start = performance.now();
    await model.run(inputs);
    times.push(performance.now() - start);
    progress((k + 1) / runs);
    await new Promise((free) => setTimeout(free)); // the page stays alive
  }
  const after = engine.tensors?.();
  return {
    runtime: model.runtime.name,
    warmUp,
    runs,
    medianMs: percentile(times, 50),
    p90Ms: percentile(times, 90),
    p99Ms: percentile(times, 99),
    fastestMs: Math.min(...times),
    loadMs: loaded.loadMs,
    firstRunMs: loaded.firstMs,
    artifactBytes: loaded.artifactBytes,
    codeBytes: loaded.codeBytes,
    tensors: before === undefined || after === undefined ? null : [before, after],
  };
}

/** Nearest rank: the smallest time that `percent` of the times do not exceed. */
export function percentile(times: readonly number[], percent: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)]!;
}
