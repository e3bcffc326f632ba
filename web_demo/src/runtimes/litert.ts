/** LiteRT.js on WebAssembly (XNNPACK) and WebGPU. */

import { loadLiteRt } from "@mlc/bindings/litert.js";
import { type Engine, libraryFolder, noWebGpu, nothing } from "./engine.js";

type LiteRt = typeof import("@litertjs/core");

let started: Promise<LiteRt> | null = null;

/** The library can be started once in a page. */
function start(): Promise<LiteRt> {
  started ??= import("@litertjs/core").then(async (litert) => {
    await litert.loadLiteRt(libraryFolder("litert"), { threads: crossOriginIsolated });
    return litert;
  });
  started.catch(() => (started = null)); // the next one tries again
  return started;
}

function engine(accelerator: "wasm" | "webgpu", name: string, obstacle: Engine["obstacle"]): Engine {
  return {
    id: `litert-${accelerator}`,
    library: "LiteRT.js",
    backend: name,
    target: "tflite",
    obstacle,
    open: async (bundle) => {
      const litert = await start();
      const bytes = await bundle.read(bundle.about.artifacts.tflite!.file);
      return loadLiteRt(litert, new Uint8Array(bytes), bundle.about, accelerator);
    },
  };
}

export const litert: readonly Engine[] = [
  engine("wasm", "Wasm", nothing),
  engine("webgpu", "WebGPU", noWebGpu),
];
