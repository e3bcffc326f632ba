/** ONNX Runtime on its wasm and WebGPU execution providers. */

import { loadOnnx } from "@mlc/bindings/onnxruntime.js";
import { type Engine, libraryFolder, noWebGpu, nothing } from "./engine.js";

const PROVIDERS = {
  wasm: () => import("onnxruntime-web/wasm"),
  webgpu: () => import("onnxruntime-web/webgpu"),
};

function engine(provider: keyof typeof PROVIDERS, name: string, obstacle: Engine["obstacle"]): Engine {
  return {
    id: `onnx-${provider}`,
    library: "ONNX Runtime",
    backend: name,
    target: "onnx",
    obstacle,
    open: async (bundle) => {
      const ort = await PROVIDERS[provider]();
      ort.env.wasm.wasmPaths = libraryFolder("ort");
      const bytes = await bundle.read(bundle.about.artifacts.onnx!.file);
      return loadOnnx(ort, new Uint8Array(bytes), bundle.about, provider);
    },
  };
}

export const onnx: readonly Engine[] = [
  engine("wasm", "Wasm", nothing),
  engine("webgpu", "WebGPU", noWebGpu),
];
