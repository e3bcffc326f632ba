/** Reads a bundle's `manifest.json` at run time, for apps that take any bundle. */

import type { Description, Target, TensorSpec } from "./model.js";
import type { Preprocessing } from "./preprocessing.js";
import type { Scores } from "./classification.js";

interface Manifest {
  readonly format: number;
  readonly interface: string;
  readonly model: { readonly name: string; readonly version: string };
  readonly source: { readonly sha256: string };
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  readonly picture: Picture | null;
  readonly classifier: {
    readonly output: string;
    readonly scores: Scores;
    readonly labels: readonly string[];
  } | null;
  readonly artifacts: readonly {
    readonly target: string;
    readonly file: string;
    readonly sha256: string;
    readonly bytes: number;
    readonly state: string;
  }[];
}

type Picture = Omit<Preprocessing, "cropFraction"> & {
  readonly input: string;
  readonly crop_fraction: number;
};

const TARGETS: readonly Target[] = ["tfjs", "onnx", "tflite"];

/** The description of the model in a bundle. Throws where the manifest is of another format. */
export function describe(manifest: unknown): Description {
  const found = manifest as Manifest;
  if (found?.format !== 1) throw new Error("This is no manifest of an mlc bundle of format 1.");
  const { model, source, inputs, outputs, picture, classifier } = found;
  const artifacts = TARGETS.flatMap((target) => {
    const artifact = found.artifacts.find((a) => a.target === target && a.state !== "failed");
    if (!artifact) return [];
    const { file, sha256, bytes } = artifact;
    return [[target, { file, sha256, bytes }] as const];
  });
  return {
    name: model.name,
    version: model.version,
    source: source.sha256,
    interface: found.interface,
    inputs,
    outputs,
    preprocessing: picture && preprocessingOf(picture),
    classifier: classifier && { output: classifier.output, scores: classifier.scores },
    labels: classifier?.labels ?? [],
    artifacts: Object.fromEntries(artifacts),
  };
}

function preprocessingOf({ input, crop_fraction, ...rest }: Picture): Preprocessing {
  return { ...rest, cropFraction: crop_fraction };
}
