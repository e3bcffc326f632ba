/** TF.js on its wasm, WebGL and WebGPU backends. */

import { loadTfjs } from "@mlc/bindings/tfjs.js";
import type { io } from "@tensorflow/tfjs-core";
import type { Bundle } from "../bundle.js";
import { type Engine, libraryFolder, noWebGl, noWebGpu, nothing } from "./engine.js";

type Tf = typeof import("@tensorflow/tfjs-core");

/** The library, once it is loaded: its current backend is that of the whole page. */
let loaded: Tf | null = null;

const BACKENDS = {
  wasm: async () => {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    setWasmPaths(libraryFolder("tfjs"));
  },
  webgl: () => import("@tensorflow/tfjs-backend-webgl"),
  webgpu: () => import("@tensorflow/tfjs-backend-webgpu"),
};

function engine(backend: keyof typeof BACKENDS, name: string, obstacle: Engine["obstacle"]): Engine {
  return {
    id: `tfjs-${backend}`,
    library: "TF.js",
    backend: name,
    target: "tfjs",
    obstacle,
    open: async (bundle) => {
      const [tf, converter] = await Promise.all([
        import("@tensorflow/tfjs-core"),
        import("@tensorflow/tfjs-converter"),
        BACKENDS[backend](),
      ]);
      loaded = tf;
      await use(tf, backend);
      const runtime = await loadTfjs({ ...tf, ...converter }, await artifact(bundle), bundle.about);
      return {
        ...runtime,
        run: async (inputs) => {
          await use(tf, backend); // another engine of the page may have changed it
          return runtime.run(inputs);
        },
      };
    },
    tensors: () => loaded?.memory().numTensors ?? 0,
  };
}

async function use(tf: Tf, backend: string): Promise<void> {
  if (tf.getBackend() === backend) return;
  if (!(await tf.setBackend(backend))) throw new Error(`TF.js cannot start its ${backend} backend.`);
}

/** model.json and its shards, read through the bundle, so from folders too. */
async function artifact(bundle: Bundle): Promise<io.IOHandler> {
  const folder = bundle.about.artifacts.tfjs!.file;
  const text = new TextDecoder().decode(await bundle.read(`${folder}/model.json`));
  const { weightsManifest, ...model } = JSON.parse(text) as io.ModelJSON;
  const paths = weightsManifest.flatMap((group) => group.paths);
  const weightData = await Promise.all(paths.map((path) => bundle.read(`${folder}/${path}`)));
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  return { load: async () => ({ ...model, weightSpecs, weightData }) as io.ModelArtifacts };
}

export const tfjs: readonly Engine[] = [
  engine("wasm", "Wasm", nothing),
  engine("webgl", "WebGL", noWebGl),
  engine("webgpu", "WebGPU", noWebGpu),
];
