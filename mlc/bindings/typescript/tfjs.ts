/** Runs the TF.js artifact of a bundle. The app passes in the library: `import * as tf from "@tensorflow/tfjs"`. */

import type { Description, Runtime, Tensors } from "./model.js";

/** What is used of TF.js, with its own kind of tensor; it loads from an address or an `IOHandler`. */
export interface Tfjs<T extends TfTensor, Source = string> {
  loadGraphModel(source: Source): Promise<GraphModel<T>>;
  tensor(data: Float32Array | Int32Array, shape: number[], dtype: "float32" | "int32" | "bool"): T;
  getBackend(): string;
}

interface GraphModel<T> {
  readonly weights: Record<string, unknown>;
  execute(inputs: Record<string, T>, outputs: string[]): T | T[];
  executeAsync(inputs: Record<string, T>, outputs: string[]): Promise<T | T[]>;
  dispose(): void;
}

interface TfTensor {
  readonly shape: number[];
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}

/** Load `model.json` and its shards, mostly by their address, on TF.js' current backend. */
export async function loadTfjs<T extends TfTensor, Source = string>(
  tf: Tfjs<T, Source>,
  source: Source,
  about: Description,
): Promise<Runtime> {
  const model = await tf.loadGraphModel(source);
  const scaled = scaledWeights(model);
  return {
    target: "tfjs",
    name: `TF.js ${tf.getBackend()}`,
    run: (inputs) => run(tf, model, scaled, about, inputs),
    close: () => {
      for (const weight of Object.values(scaled)) weight.dispose();
      model.dispose();
    },
  };
}

/** Integers are stored beside their scales, and the graph multiplies them in every run: once is enough. */
function scaledWeights<T>(model: GraphModel<T>): Record<string, T> {
  const names = Object.keys(model.weights)
    .filter((name) => name.endsWith("/mlc_scales"))
    .map((name) => name.replace(/scales$/, "scaled"));
  if (names.length === 0) return {};
  const products = [model.execute({}, names)].flat() as T[];
  return Object.fromEntries(names.map((name, i) => [name, products[i]!]));
}

async function run<T extends TfTensor, Source>(
  tf: Tfjs<T, Source>,
  model: GraphModel<T>,
  scaled: Record<string, T>,
  about: Description,
  inputs: Tensors,
): Promise<Tensors> {
  const names = about.outputs.map(({ name }) => name);
  const feeds: Record<string, T> = {};
  const results: T[] = [];
  try {
    for (const { name, dtype } of about.inputs) {
      const { data, shape } = inputs[name]!;
      const held = dtype === "bool" ? "bool" : dtype.startsWith("float") ? "float32" : "int32";
      feeds[name] = tf.tensor(held === "float32" ? data : Int32Array.from(data), [...shape], held);
    }
    results.push(...(await execute(model, { ...feeds, ...scaled }, names)));
    const rows = results.map(async (tensor, i) => {
      return [names[i]!, { data: Float32Array.from(await tensor.data()), shape: tensor.shape }] as const;
    });
    return Object.fromEntries(await Promise.all(rows));
  } finally {
    for (const tensor of [...Object.values(feeds), ...results]) tensor.dispose();
  }
}

async function execute<T>(
  model: GraphModel<T>,
  feeds: Record<string, T>,
  names: string[],
): Promise<T[]> {
  try {
    return [model.execute(feeds, names)].flat() as T[];
  } catch (error) {
    // Loops and branches exist only in the asynchronous executor, and TF.js says so.
    if (!(error instanceof Error && error.message.includes("executeAsync"))) throw error;
    return [await model.executeAsync(feeds, names)].flat() as T[];
  }
}
