// Builds the page: node build.mjs OUTPUT [BINDINGS]
//
// Packages are taken from the node_modules of the current folder: npm's here, or one that mlc installed.

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const packages = path.resolve("node_modules");
const output = path.resolve(process.argv[2] ?? "dist");
const bindings = path.resolve(process.argv[3] ?? path.join(here, "../mlc/bindings/typescript"));
const esbuild = createRequire(packages + path.sep)("esbuild");

/** What the libraries load by themselves, into a folder named after their version: such files never change. */
const LIBRARIES = [
  ["tfjs", "@tensorflow/tfjs-backend-wasm", "dist", /\.wasm$/],
  ["ort", "onnxruntime-web", "dist", /^ort-wasm-simd-threaded(\.asyncify)?\.(mjs|wasm)$/],
  ["litert", "@litertjs/core", "wasm", /^litert_wasm_(compat_|threaded_|)internal\.(js|wasm)$/],
];

const shared = {
  absWorkingDir: here,
  nodePaths: [packages],
  alias: { "@mlc/bindings": bindings },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  logLevel: "warning",
};

const places = {};
for (const [name, library, folder, wanted] of LIBRARIES) {
  const from = path.join(packages, library);
  const { version } = JSON.parse(await readFile(path.join(from, "package.json"), "utf8"));
  places[name] = `libraries/${name}-${version}/`;
  await mkdir(path.join(output, places[name]), { recursive: true });
  for (const file of await readdir(path.join(from, folder))) {
    if (wanted.test(file)) await cp(path.join(from, folder, file), path.join(output, places[name], file));
  }
}

const { metafile } = await esbuild.build({
  ...shared,
  entryPoints: { main: "src/main.ts", style: "src/style.css" },
  outdir: path.join(output, "assets"),
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  splitting: true,
  metafile: true,
  define: { LIBRARIES: JSON.stringify(places) },
  // onnxruntime-web with its WebAssembly beside it, not inside the script
  conditions: ["onnxruntime-web-use-extern-wasm"],
  external: ["fs", "path", "util", "crypto", "os", "worker_threads", "perf_hooks"], // Node's, never reached
});
const assets = Object.keys(metafile.outputs).map((file) => `assets/${path.basename(file)}`);
const asset = (name) => assets.find((file) => file.startsWith(`assets/${name}-`));

const page = (await readFile(path.join(here, "src/index.html"), "utf8"))
  .replace("main.js", asset("main"))
  .replace("style.css", asset("style"));
await writeFile(path.join(output, "index.html"), page);
await cp(path.join(here, "public"), output, { recursive: true });

// The shell is what the first picture of the page needs; the rest is kept as it is used.
const shell = ["./", asset("main"), asset("style"), ...(await readdir(path.join(here, "public")))];
const version = createHash("sha256").update(page).update(assets.sort().join()).digest("hex").slice(0, 16);
await esbuild.build({
  ...shared,
  entryPoints: { service_worker: "service_worker/service_worker.ts" },
  outdir: output,
  define: { SHELL: JSON.stringify(shell), VERSION: JSON.stringify(version) },
});
