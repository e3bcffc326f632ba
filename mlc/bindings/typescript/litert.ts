/** Runs the TFLite artifact of a bundle. The app passes in the library: `import * as litert from "@litertjs/core"`. */

import type { Description, Runtime, Tensors } from "./model.js";

/** What is used of LiteRT.js, with its own kind of tensor, after the app has called its `loadLiteRt`. */
export interface LiteRt<T extends LiteRtTensor> {
  loadAndCompile(model: Uint8Array, options?: { accelerator?: Accelerator }): Promise<CompiledModel<T>>;
  readonly Tensor: new (data: Float32Array | Int32Array, shape: number[]) => T;
}

export type Accelerator = "wasm" | "webgpu";

interface CompiledModel<T> {
  getInputDetails(): readonly TensorDetails[];
  getOutputDetails(): readonly TensorDetails[];
  /** False where LiteRT.js runs some or all of the network on wasm, whatever was asked for. */
  readonly isFullyAccelerated: boolean;
  run(inputs: Record<string, T>): Promise<Record<string, T>>;
  delete(): void;
}

interface TensorDetails {
  readonly name: string;
  readonly dtype: string;
}

interface LiteRtTensor {
  readonly type: { readonly layout: { readonly dimensions: ArrayLike<number> } };
  data(): Promise<ArrayLike<number>>;
  delete(): void;
}

/** Compile the bytes of the `.tflite` file. Throws where its inputs or outputs are integers of another scale. */
export async function loadLiteRt<T extends LiteRtTensor>(
  litert: LiteRt<T>,
  bytes: Uint8Array,
  about: Description,
  accelerator: Accelerator = "wasm",
): Promise<Runtime> {
  const model = await litert.loadAndCompile(bytes, { accelerator });
  refuseIntegers(model, about);
  const partly = accelerator !== "wasm" && !model.isFullyAccelerated;
  return {
    target: "tflite",
    name: `LiteRT.js ${accelerator}${partly ? ", partly or wholly wasm" : ""}`,
    run: (inputs) => run(litert, model, about, inputs),
    close: () => model.delete(),
  };
}

/** LiteRT.js does not tell the scale of quantized tensors, so what they stand for cannot be known. */
function refuseIntegers<T>(model: CompiledModel<T>, about: Description): void {
  const floats = [...about.inputs, ...about.outputs].filter(({ dtype }) => dtype.startsWith("float"));
  const details = [...model.getInputDetails(), ...model.getOutputDetails()];
  const held = details.find(({ name, dtype }) => dtype !== "float32" && floats.some((f) => f.name === name));
  if (!held) return;
  model.delete();
  throw new Error(`${held.name} is ${held.dtype} in this file: LiteRT.js needs one built without --io.`);
}

async function run<T extends LiteRtTensor>(
  litert: LiteRt<T>,
  model: CompiledModel<T>,
  about: Description,
  inputs: Tensors,
): Promise<Tensors> {
  const feeds: Record<string, T> = {};
  let results: Record<string, T> = {};
  try {
    for (const { name, dtype } of about.inputs) {
      const { data, shape } = inputs[name]!;
      const held = dtype.startsWith("float") ? data : Int32Array.from(data);
      feeds[name] = new litert.Tensor(held, [...shape]);
    }
    results = await model.run(feeds);
    const rows = Object.entries(results).map(async ([name, tensor]) => {
      const shape = Array.from(tensor.type.layout.dimensions);
      return [name, { data: Float32Array.from(await tensor.data()), shape }] as const;
    });
    return Object.fromEntries(await Promise.all(rows));
  } finally {
    for (const tensor of [...Object.values(feeds), ...Object.values(results)]) tensor.delete();
  }
}
