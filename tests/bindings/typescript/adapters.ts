// Compiled, never run: the libraries as apps import them must fit what the adapters ask for.

import * as litert from "@litertjs/core";
import * as converter from "@tensorflow/tfjs-converter";
import * as core from "@tensorflow/tfjs-core";
import * as ort from "onnxruntime-common";
import { loadLiteRt } from "./litert.js";
import { modelModel } from "./model_model.js";
import { loadOnnx } from "./onnxruntime.js";
import { loadTfjs } from "./tfjs.js";

export const runtimes = (bytes: Uint8Array) => [
  loadTfjs({ ...core, ...converter }, "model.json", modelModel),
  loadOnnx(ort, bytes, modelModel),
  loadLiteRt(litert, bytes, modelModel, "webgpu"),
];

// @ts-expect-error A label that the model does not have.
export const wrong: import("./model_model.js").ModelModelLabel = "hot dog";
