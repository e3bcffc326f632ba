/** Runs the TF.js artifact of a bundle. The app passes in the library: `import * as tf from "@tensorflow/tfjs"`. */

import type { Description, Runtime, Tensors } from "./model.js";

/** What is used of TF.js. */
export interface Tfjs {
  loadGraphModel(url: string, options?: { requestInit?: RequestInit }): Promise<GraphModel>;
  tensor(data: Float32Array | Int32Array, shape: number[], dtype: "float32" | "int32" | "bool"): TfTensor;
  getBackend(): string;
}

interface GraphModel {
  execute(inputs: Record<string, TfTensor>, outputs: string[]): TfTensor | TfTensor[];
  executeAsync(inputs: Record<string, TfTensor>, outputs: string[]): Promise<TfTensor | TfTensor[]>;
  dispose(): unknown;
}

interface TfTensor {
  readonly shape: number[];
  data(): Promise<ArrayLike<number>>;
  dispose(): void;
}

/** Load `model.json` and its shards on TF.js' current backend. */
export async function loadTfjs(tf: Tfjs, url: string, about: Description): Promise<Runtime> {
  const model = await tf.loadGraphModel(url);
  const names = about.outputs.map(({ name }) => name);
  return {
    target: "tfjs",
    name: `TF.js ${tf.getBackend()}`,
    run: (inputs) => run(tf, model, about, names, inputs),
    close: () => void model.dispose(),
  };
}

async function run(
  tf: Tfjs,
  model: GraphModel,
  about: Description,
  names: string[],
  inputs: Tensors,
): Promise<Tensors> {
  const feeds: Record<string, TfTensor> = {};
  let results: TfTensor[] = [];
  try {
    for (const { name, dtype } of about.inputs) {
      const { data, shape } = inputs[name]!;
      const held = dtype === "bool" ? "bool" : dtype.startsWith("float") ? "float32" : "int32";
      feeds[name] = tf.tensor(held === "float32" ? data : Int32Array.from(data), [...shape], held);
    }
    results = await execute(model, feeds, names);
    const rows = results.map(async (tensor, i) => {
      return [names[i]!, { data: Float32Array.from(await tensor.data()), shape: tensor.shape }] as const;
    });
    return Object.fromEntries(await Promise.all(rows));
  } finally {
    for (const tensor of [...Object.values(feeds), ...results]) tensor.dispose();
  }
}

async function execute(
  model: GraphModel,
  feeds: Record<string, TfTensor>,
  names: string[],
): Promise<TfTensor[]> {
  try {
    return [model.execute(feeds, names)].flat();
  } catch (error) {
    // Loops and branches exist only in the asynchronous executor, and TF.js says so.
    if (!(error instanceof Error && error.message.includes("executeAsync"))) throw error;
    return [await model.executeAsync(feeds, names)].flat();
  }
}
