// Runs the golden self-test of a bundle in TF.js itself: node tfjs_harness.js URL_OF_THE_BUNDLE

import * as converter from "@tensorflow/tfjs-converter";
import * as core from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { readGolden, selfTest } from "./golden.js";
import { describe } from "./manifest.js";
import { Model } from "./model.js";
import type { Pixels } from "./preprocessing.js";
import { loadTfjs } from "./tfjs.js";

const bundle = process.argv[2]!;
const fetched = async (file: string): Promise<ArrayBuffer> => {
  return (await fetch(`${bundle}/${file}`)).arrayBuffer();
};
const decode = async (file: ArrayBuffer): Promise<Pixels> => {
  const [width, height] = new Int32Array(file.slice(0, 8));
  return { width: width!, height: height!, data: new Uint8Array(file, 8) };
};

await core.setBackend("cpu");
const before = core.memory().numTensors;
const about = describe(JSON.parse(new TextDecoder().decode(await fetched("manifest.json"))));
const url = `${bundle}/${about.artifacts.tfjs!.file}/model.json`;
const model = new Model(about, await loadTfjs({ ...core, ...converter }, url, about));
const golden = await readGolden((file) => fetched(file.replace(".png", ".rgba")), decode);
const loaded = core.memory().numTensors;
const results = await selfTest(model, golden);
const best = await model.classify(golden.cases[0]!.picture!, 1);
const leaked = core.memory().numTensors - loaded;
model.close();
const left = core.memory().numTensors - before;
console.log(JSON.stringify({ results, best, leaked, left }));
