/** Runs the ONNX artifact of a bundle. The app passes in the library: `import * as ort from "onnxruntime-web"`. */

import type { Description, Runtime, Tensors } from "./model.js";

/** What is used of onnxruntime-web, with its own kind of tensor. */
export interface Ort<T extends OrtTensor> {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: { executionProviders?: readonly string[] }): Promise<Session<T>>;
  };
  readonly Tensor: new (type: OrtType, data: Held, dims: readonly number[]) => T;
}

type Held = Float32Array | Int32Array | BigInt64Array | Uint8Array;

type OrtType = "float32" | "int32" | "int64" | "uint8" | "bool";

interface Session<T> {
  run(feeds: Record<string, T>): Promise<Record<string, OrtTensor>>;
  release(): Promise<void>;
}

interface OrtTensor {
  readonly dims: readonly number[];
  getData(): Promise<ArrayLike<number | bigint | string>>;
  dispose(): void;
}

/** Create a session of the bytes of the `.onnx` file on an execution provider: wasm, webgpu or webgl. */
export async function loadOnnx<T extends OrtTensor>(
  ort: Ort<T>,
  bytes: Uint8Array,
  about: Description,
  provider = "wasm",
): Promise<Runtime> {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
  return {
    target: "onnx",
    name: `ONNX Runtime ${provider}`,
    run: (inputs) => run(ort, session, about, inputs),
    close: () => void session.release(),
  };
}

async function run<T extends OrtTensor>(
  ort: Ort<T>,
  session: Session<T>,
  about: Description,
  inputs: Tensors,
): Promise<Tensors> {
  const feeds = Object.fromEntries(
    about.inputs.map(({ name, dtype }) => {
      const { data, shape } = inputs[name]!;
      return [name, new ort.Tensor(dtype as OrtType, held(data, dtype as OrtType), shape)];
    }),
  );
  const results = await session.run(feeds);
  const rows = about.outputs.map(async ({ name }) => {
    const tensor = results[name]!;
    const data = Float32Array.from(await tensor.getData(), Number);
    tensor.dispose();
    return [name, { data, shape: tensor.dims }] as const;
  });
  return Object.fromEntries(await Promise.all(rows));
}

function held(data: Float32Array, type: OrtType): Held {
  switch (type) {
    case "float32":
      return data;
    case "int32":
      return Int32Array.from(data);
    case "int64":
      return BigInt64Array.from(data, BigInt);
    case "uint8":
    case "bool":
      return Uint8Array.from(data);
  }
}
