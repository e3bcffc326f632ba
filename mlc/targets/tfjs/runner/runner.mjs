// Runs one TF.js graph model for the Python process that started this one.
//
//   node runner.mjs PACKAGES MODEL_JSON
//
// PACKAGES is the folder whose node_modules holds TF.js. A message, in either direction, is one line
// of JSON and then the bytes of the tensors that it lists, little-endian, in that order:
//
//   → {"fetches": ["scores:0"], "tensors": [{"name", "dtype", "shape", "bytes"}]}
//   ← {"backend": "wasm", "reason": "", "tensors": [...]}   or   {"error": "..."}
//
// The first message says that the model is loaded: {"version", "backend", "reason", "tensors": []}.
// The end of stdin is the end of this process, so it never outlives its parent.

import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import path from 'node:path';

// stdout belongs to the messages; whatever TF.js has to say goes to stderr.
console.log = console.info = console.debug = console.error;

const [packages, modelPath] = process.argv.slice(2);
const require = createRequire(path.join(packages, 'package.json'));
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-cpu');
require('@tensorflow/tfjs-backend-wasm');
const {loadGraphModel} = require('@tensorflow/tfjs-converter');

const VIEWS = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};

// --- messages ---

async function* messages(stream) {
  let buffer = Buffer.alloc(0);
  const chunks = stream[Symbol.asyncIterator]();

  // Chunks are joined only when enough have come: joining at each would cost quadratic time.
  async function fill(enough) {
    const parts = [buffer];
    while (!enough(parts)) {
      const {value, done} = await chunks.next();
      if (done) return false;
      parts.push(value);
    }
    buffer = parts.length > 1 ? Buffer.concat(parts) : buffer;
    return true;
  }

  while (await fill((parts) => parts.at(-1).includes(10))) {
    const end = buffer.indexOf(10);
    const header = JSON.parse(buffer.toString('utf8', 0, end));
    buffer = buffer.subarray(end + 1);
    const size = header.tensors.reduce((sum, t) => sum + t.bytes, 0);
    if (!await fill((parts) => parts.reduce((sum, p) => sum + p.length, 0) >= size)) return;
    yield {header, payload: buffer.subarray(0, size)};
    buffer = buffer.subarray(size);
  }
}

async function send(header, payloads = []) {
  const parts = [Buffer.from(JSON.stringify(header) + '\n'), ...payloads];
  await new Promise((resolve, reject) => process.stdout.write(
    Buffer.concat(parts), (error) => error ? reject(error) : resolve()));
}

// --- the model ---

// The model, and the weights that it would otherwise scale anew in every run.
async function load(json, backend) {
  if (!await tf.setBackend(backend)) throw new Error(`The backend ${backend} does not start.`);
  await tf.ready();
  const model = await loadGraphModel({
    load: () => tf.io.getModelArtifactsForJSON(json, async (manifest) => {
      const files = manifest.flatMap((group) => group.paths);
      const folder = path.dirname(modelPath);
      const shards = await Promise.all(files.map((file) => readFile(path.join(folder, file))));
      const data = new Uint8Array(Buffer.concat(shards));
      return [manifest.flatMap((group) => group.weights), data.buffer];
    }),
  });
  return {model, scaled: scaledWeights(model)};
}

// mlc stores integers and their scales, and the graph multiplies them: once is enough.
function scaledWeights(model) {
  const names = Object.keys(model.weights)
    .filter((name) => name.endsWith('/mlc_scales'))
    .map((name) => name.replace(/scales$/, 'scaled'));
  const products = names.length ? [model.execute({}, names)].flat() : [];
  return Object.fromEntries(names.map((name, i) => [name, products[i]]));
}

// Ops that have a kernel of the same name on the cpu backend, and none on wasm.
function lacking({node = [], library}) {
  const bodies = (library?.function ?? []).flatMap((f) => f.nodeDef ?? []);
  const ops = new Set([...node, ...bodies].map(({op}) => op));
  const [cpu, wasm] = ['cpu', 'wasm'].map(
    (backend) => new Set(tf.getKernelsForBackend(backend).map((kernel) => kernel.kernelName)));
  return [...ops].filter((op) => cpu.has(op) && !wasm.has(op)).sort();
}

async function execute(model, feeds, fetches) {
  try {
    return model.execute(feeds, fetches);
  } catch (error) {
    // Loops, branches and outputs of unknown size exist only in the asynchronous executor.
    if (!error.message.includes('executeAsync')) throw error;
    return model.executeAsync(feeds, fetches);
  }
}

async function run({model, scaled}, {header, payload}) {
  const feeds = {};
  const results = [];
  let offset = 0;
  try {
    for (const {name, dtype, shape, bytes} of header.tensors) {
      // A copy, because a typed array must start at a multiple of its element size.
      const raw = new Uint8Array(payload.subarray(offset, offset + bytes));
      feeds[name] = tf.tensor(new VIEWS[dtype](raw.buffer), shape, dtype);
      offset += bytes;
    }
    results.push(...[await execute(model, {...feeds, ...scaled}, header.fetches)].flat());
    const tensors = [];
    const payloads = [];
    for (const [i, tensor] of results.entries()) {
      const {dtype, shape} = tensor;
      if (!VIEWS[dtype]) throw new Error(`output ${header.fetches[i]} is of type ${dtype}`);
      const data = await tensor.data();
      const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      payloads.push(bytes);
      tensors.push({name: header.fetches[i], dtype, shape, bytes: bytes.length});
    }
    return {tensors, payloads};
  } finally {
    tf.dispose([results, Object.values(feeds)]);
  }
}

// --- the conversation ---

async function converse() {
  const json = JSON.parse(await readFile(modelPath, 'utf8'));
  let backend = '';
  let reason = '';
  let model = null;

  async function use(name, why) {
    model?.model.dispose();
    tf.dispose(model?.scaled ?? []);
    model = await load(json, name);
    [backend, reason] = [name, why];
  }

  async function answer(message) {
    try {
      return await run(model, message);
    } catch (error) {
      if (backend !== 'wasm') throw error;
      // The plain backend knows more ops and types. That it was needed is told, never hidden.
      const kernel = error.message.match(/Kernel '(\w+)' not registered/)?.[1];
      await use('cpu', kernel ? `wasm lacks ${kernel}` : `wasm fails: ${firstLine(error)}`);
      try {
        return await run(model, message);
      } catch {
        await use('wasm', ''); // Neither can: the message was wrong, not the backend.
        throw error;
      }
    }
  }

  const missing = lacking(json.modelTopology);
  await (missing.length ? use('cpu', `wasm lacks ${missing.join(', ')}`) : use('wasm', ''));
  await send({version: tf.version_core, backend, reason, tensors: []});
  for await (const message of messages(process.stdin)) {
    try {
      const {tensors, payloads} = await answer(message);
      await send({backend, reason, tensors}, payloads);
    } catch (error) {
      await send({error: firstLine(error), tensors: []});
    }
  }
}

const firstLine = (error) => String(error.message ?? error).split('\n')[0];

await converse().catch((error) => send({error: firstLine(error), tensors: []}));
