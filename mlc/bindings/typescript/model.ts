/** A model of a bundle on one of its runtimes. */

import { type Prediction, type Scores, probabilities, topK } from "./classification.js";
import { type Pixels, type Preprocessing, channelCount, tensorOf } from "./preprocessing.js";

/** The formats of a bundle that run in browsers. */
export type Target = "tfjs" | "onnx" | "tflite";

/** Name, shape and type of an input or output; null is a dimension left open. */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly (number | null)[];
  readonly dtype: string;
}

/** Where a file of the bundle is, and what it must be. `file` is a folder for TF.js. */
export interface Artifact {
  readonly file: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** What an app needs to know of a model: a part of the bundle's manifest. */
export interface Description<Label extends string = string> {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the file that the model was trained into. */
  readonly source: string;
  /** SHA-256 of inputs, outputs, preprocessing and labels: another model with the same one fits the app. */
  readonly interface: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** Null where the network takes no picture. */
  readonly preprocessing: Preprocessing | null;
  /** Null where the outputs are no class scores. */
  readonly classifier: { readonly output: string; readonly scores: Scores } | null;
  readonly labels: readonly Label[];
  readonly artifacts: Readonly<Partial<Record<Target, Artifact>>>;
}

/** Numbers with a shape. Integers and truth values are numbers too: runtimes cast them. */
export interface Tensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

/** Tensors by the network's names. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** A loaded artifact. `./tfjs`, `./onnxruntime` and `./litert` make one of each library. */
export interface Runtime {
  readonly target: Target;
  /** For people, e.g. `TF.js webgl`. */
  readonly name: string;
  run(inputs: Tensors): Promise<Tensors>;
  close(): void;
}

/** Pixels in, labels out. Close it to give back the runtime's memory. */
export class Model<Label extends string = string> {
  constructor(
    readonly about: Description<Label>,
    readonly runtime: Runtime,
  ) {}

  /** The `k` most probable labels of a picture, best first. */
  async classify(pixels: Pixels, k = 5): Promise<Prediction<Label>[]> {
    return topK(await this.probabilities(pixels), this.about.labels, k);
  }

  /** The probability of every label, in the order of `about.labels`. */
  async probabilities(pixels: Pixels): Promise<number[]> {
    const { classifier, name } = this.about;
    if (!classifier) throw new Error(`${name} has no class scores: use predict.`);
    const outputs = await this.predict(pixels);
    return probabilities(outputs[classifier.output]!.data, classifier.scores);
  }

  /** All outputs for a picture. */
  predict(pixels: Pixels): Promise<Tensors> {
    return this.runtime.run(this.inputs(pixels));
  }

  /** All outputs for tensors, by the network's names. */
  run(inputs: Tensors): Promise<Tensors> {
    return this.runtime.run(inputs);
  }

  /** The input tensor of a picture. */
  inputs(pixels: Pixels): Tensors {
    const { preprocessing, inputs, name } = this.about;
    if (!preprocessing) throw new Error(`${name} takes no picture: use run.`);
    const { height, width, color } = preprocessing;
    const shape = [1, height, width, channelCount(color)];
    return { [inputs[0]!.name]: { data: tensorOf(pixels, preprocessing), shape } };
  }

  close(): void {
    this.runtime.close();
  }
}
