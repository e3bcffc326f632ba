/**
 * The golden self-test: inputs with the outputs of the original network, run on this device.
 *
 * Pure but for two functions that the platform gives: one reads a file of the bundle, one decodes a PNG
 * (`./browser` has it).
 */

import { probabilities, topK } from "./classification.js";
import type { Model, Target, Tensors } from "./model.js";
import { type Pixels, pixelSteps } from "./preprocessing.js";

/** Reads a file by its path inside the bundle. */
export type Read = (path: string) => Promise<ArrayBuffer>;

/** Decodes a PNG without changing a pixel: no colour management. */
export type DecodePng = (png: ArrayBuffer) => Promise<Pixels>;

/** One input of the bundle with what the original network answered. */
export interface GoldenCase {
  readonly name: string;
  /** The picture as it came; null where the input is no picture. */
  readonly picture: Pixels | null;
  readonly inputs: Tensors;
  readonly outputs: Tensors;
}

/** Cases, and how far each output of an artifact may be off on another device. */
export interface Golden {
  readonly cases: readonly GoldenCase[];
  readonly tolerance: Readonly<Partial<Record<Target, Readonly<Record<string, number>>>>>;
}

/** What became of a case. */
export interface CaseResult {
  readonly name: string;
  readonly passed: boolean;
  /** Largest difference of the preprocessed picture, in pixel values (0..255); null without one. */
  readonly pixelError: number | null;
  readonly outputs: readonly { name: string; error: number; tolerance: number }[];
  /** Labels of the original network and of this device; null where it is no classifier. */
  readonly expected: string | null;
  readonly got: string | null;
  /** Why it did not pass, for people. */
  readonly reason: string;
}

/** A picture decoded here may differ by one pixel value from what mlc saw. */
const PIXEL_TOLERANCE = 1;

interface TensorFile {
  readonly name: string;
  readonly file: string;
  readonly shape: readonly number[];
}

interface GoldenFile {
  readonly cases: readonly {
    readonly name: string;
    readonly picture: string | null;
    readonly inputs: readonly TensorFile[];
    readonly outputs: readonly TensorFile[];
  }[];
  readonly artifacts: Readonly<
    Partial<Record<Target, { readonly tolerance: Readonly<Record<string, number>> }>>
  >;
}

/** Read the golden cases of a bundle; `file` is the manifest's `golden.file`. */
export async function readGolden(
  read: Read,
  decode: DecodePng,
  file = "golden/golden.json",
): Promise<Golden> {
  const folder = file.slice(0, file.lastIndexOf("/") + 1);
  const text = new TextDecoder().decode(await read(file));
  const { cases, artifacts } = JSON.parse(text) as GoldenFile;
  const tensors = async (rows: readonly TensorFile[]): Promise<Tensors> => {
    const loaded = rows.map(async ({ name, file, shape }) => {
      const data = floats(await read(folder + file));
      return [name, { data, shape }] as const;
    });
    return Object.fromEntries(await Promise.all(loaded));
  };
  const loaded = cases.map(async ({ name, picture, inputs, outputs }) => ({
    name,
    picture: picture === null ? null : await decode(await read(folder + picture)),
    inputs: await tensors(inputs),
    outputs: await tensors(outputs),
  }));
  const tolerance = Object.fromEntries(
    Object.entries(artifacts).map(([target, artifact]) => [target, artifact!.tolerance]),
  );
  return { cases: await Promise.all(loaded), tolerance };
}

/** Run every case on this device, from the picture where there is one. */
export async function selfTest(model: Model, golden: Golden): Promise<CaseResult[]> {
  const tolerance = golden.tolerance[model.runtime.target];
  if (!tolerance) throw new Error(`The bundle has no golden outputs for ${model.runtime.target}.`);
  const results: CaseResult[] = [];
  for (const each of golden.cases) results.push(await testCase(model, each, tolerance));
  return results;
}

async function testCase(
  model: Model,
  golden: GoldenCase,
  tolerance: Readonly<Record<string, number>>,
): Promise<CaseResult> {
  const inputs = golden.picture ? model.inputs(golden.picture) : golden.inputs;
  const pixelError = golden.picture ? largestPixelError(model, inputs, golden.inputs) : null;
  const got = await model.run(inputs);
  const outputs = Object.entries(golden.outputs).map(([name, expected]) => ({
    name,
    error: largestError(got[name]?.data ?? new Float32Array(), expected.data),
    tolerance: tolerance[name]!,
  }));
  const far = outputs.find(({ error, tolerance }) => !(error <= tolerance));
  const reason =
    pixelError !== null && !(pixelError <= PIXEL_TOLERANCE)
      ? `The preprocessed picture is off by ${pixelError.toFixed(1)} pixel values.`
      : far
        ? `${far.name} is off by ${far.error.toPrecision(2)}; allowed are ${far.tolerance.toPrecision(2)}.`
        : "";
  return {
    name: golden.name,
    passed: reason === "",
    pixelError,
    outputs,
    expected: answer(model, golden.outputs),
    got: answer(model, got),
    reason,
  };
}

function answer(model: Model, outputs: Tensors): string | null {
  const { classifier, labels } = model.about;
  const scores = classifier && outputs[classifier.output];
  if (!scores) return null;
  return topK(probabilities(scores.data, classifier.scores), labels, 1)[0]!.label;
}

function largestPixelError(model: Model, got: Tensors, expected: Tensors): number {
  const steps = pixelSteps(model.about.preprocessing!);
  const name = model.about.inputs[0]!.name;
  const [here, there] = [got[name]!.data, expected[name]!.data];
  if (here.length !== there.length) return Infinity;
  return here.reduce((worst, value, i) => {
    return Math.max(worst, Math.abs(value - there[i]!) / steps[i % steps.length]!);
  }, 0);
}

/** NaN anywhere, or another length, is as far off as can be. */
function largestError(got: Float32Array, expected: Float32Array): number {
  if (got.length !== expected.length || got.some(Number.isNaN)) return Infinity;
  return got.reduce((worst, value, i) => Math.max(worst, Math.abs(value - expected[i]!)), 0);
}

/** float32, little-endian whatever the machine. */
function floats(buffer: ArrayBuffer): Float32Array {
  const view = new DataView(buffer);
  return Float32Array.from({ length: buffer.byteLength / 4 }, (_, i) => view.getFloat32(4 * i, true));
}
