// Sits the exam of ../exam.py: node harness.js FOLDER

import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { type Scores, probabilities, topK } from "./classification.js";
import { readGolden, selfTest } from "./golden.js";
import { describe } from "./manifest.js";
import { type Description, Model, type Runtime } from "./model.js";
import { modelModel } from "./model_model.js";
import { type Pixels, type Preprocessing, fit, tensorOf } from "./preprocessing.js";

interface Exam {
  pixels: (Preprocessing & { pictureWidth: number; pictureHeight: number; crop_fraction: number })[];
  scores: { scores: number[]; kind: Scores; labels: string[]; k: number }[];
  faults: { offset: number; mirrored: boolean }[];
  dist: string;
}

const folder = process.argv[2]!;
const read = async (...parts: string[]): Promise<ArrayBuffer> => {
  return new Uint8Array(await readFile(path.join(...parts))).buffer;
};
const exam = JSON.parse(await readFile(path.join(folder, "exam.json"), "utf8")) as Exam;

for (const [k, row] of exam.pixels.entries()) {
  const data = new Uint8Array(await read(folder, `${k}.rgba`));
  const pixels = { width: row.pictureWidth, height: row.pictureHeight, data };
  const how = { ...row, cropFraction: row.crop_fraction };
  await writeFile(path.join(folder, `${k}.fit`), fit(pixels, how));
  await writeFile(path.join(folder, `${k}.tensor`), new Uint8Array(tensorOf(pixels, how).buffer));
}

const scores = exam.scores.map(({ scores, kind, labels, k }) => topK(probabilities(scores, kind), labels, k));

function means(offset: number): Runtime {
  return {
    target: "tflite",
    name: "means",
    run: async ({ image }) => {
      const sums = [0, 0, 0];
      image!.data.forEach((value, i) => (sums[i % 3]! += value));
      const data = Float32Array.from(sums, (sum) => (3 * sum) / image!.data.length + offset);
      return { scores: { data, shape: [1, 3] } };
    },
    close: () => {},
  };
}

/** The PNG was decoded by Python: width, height, pixels. */
async function decode(file: ArrayBuffer): Promise<Pixels> {
  const [width, height] = new Int32Array(file.slice(0, 8));
  return { width: width!, height: height!, data: new Uint8Array(file, 8) };
}

function mirrored({ width, height, data }: Pixels): Pixels {
  const turned = data.map((_, i) => {
    const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
    return data[4 * (y * width + width - 1 - x) + (i & 3)]!;
  });
  return { width, height, data: turned };
}

const generated: Description = modelModel;
const found = describe(JSON.parse(await readFile(path.join(exam.dist, "manifest.json"), "utf8")));
const golden = [];
for (const [k, fault] of exam.faults.entries()) {
  const cases = await readGolden(
    (file) => read(exam.dist, file.replace(".png", ".rgba")),
    async (png) => (fault.mirrored ? mirrored(await decode(png)) : decode(png)),
  );
  // By turns with what was generated, and with what the manifest says at run time.
  golden.push(await selfTest(new Model(k % 2 ? found : generated, means(fault.offset)), cases));
}

const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  const rows = Object.entries(value).map(([key, inner]) => [key, sorted(inner)] as const);
  return Object.fromEntries(rows.sort(([a], [b]) => (a < b ? -1 : 1)));
};
const same = JSON.stringify(sorted(generated)) === JSON.stringify(sorted(found));
await writeFile(path.join(folder, "answers.json"), JSON.stringify({ scores, golden, same }));
