/**
 * Over-the-air updates: keep this device's model as its channel says, and change nothing when anything
 * is wrong. The steps are those of docs/channel.md of mlc. No dependencies.
 */

import {
  MAIN,
  checkModel,
  choose,
  parse,
  sha256,
  type Bytes,
  type Choice,
  type Device,
  type File,
  type Models,
} from "./rules.js";
import type { Storage } from "./storage.js";

/** What an app has built in: where its channel is, what it is called, whose signature counts. */
export interface Channel {
  readonly url: string;
  readonly name: string;
  /** Public keys, base64, as `mlc channel keygen` prints them; any one of them is enough. */
  readonly keys: readonly string[];
  /** Version of the model inside the app: it is never downloaded. */
  readonly bundled: string;
  /** Milliseconds without a byte after which a host counts as not there. */
  readonly patience?: number;
}

/** How a check ended. `version` is what the device runs from now on; null is the model inside the app. */
export interface Outcome {
  readonly kind: "updated" | "current" | "waiting" | "failed";
  readonly version: string | null;
  readonly reason: Reason | string;
  readonly detail: string;
}

/** Why a check failed; of `waiting`, the reason is the condition that is not met. */
export type Reason =
  | "network"
  | "signature"
  | "document"
  | "replay"
  | "expired"
  | "download"
  | "storage"
  | "self-test"
  | "rejected";

/** Reads a file of a downloaded model by its path in the bundle. */
export type Read = (path: string) => Promise<Bytes>;

/** Runs the golden cases of a model that is not yet in use; false or an error keeps it out. */
export type SelfTest = (read: Read, choice: Choice) => Promise<boolean>;

/** All that is remembered, in one file that is replaced in one step. */
interface State {
  readonly sequence: number;
  readonly etag: string | null;
  readonly document: string | null;
  readonly signature: string | null;
  readonly current: Choice | null;
  readonly previous: Choice | null;
  readonly rejected: string | null;
}

const NOTHING: State = {
  sequence: 0,
  etag: null,
  document: null,
  signature: null,
  current: null,
  previous: null,
  rejected: null,
};

const MOST_DOCUMENT = 2 ** 20;
const SIGNATURE_BYTES = 64;
const STATE = "state.json";

class Stop extends Error {
  constructor(
    readonly reason: Reason,
    readonly detail: string,
  ) {
    super(detail);
  }
}

/** The models of one channel on one device. State: a storage that nobody else writes to. */
export class Updates {
  readonly #channel: Channel;
  readonly #device: Device;
  readonly #storage: Storage;

  constructor(channel: Channel, device: Device, storage: Storage) {
    this.#channel = channel;
    this.#device = device;
    this.#storage = storage;
  }

  /**
   * The downloaded model to run; null is the one inside the app.
   *
   * The files are hashed again, and the interface compared with the app's, which may be newer: where the
   * current model is not usable, the previous one is taken, and then the one inside the app.
   */
  async active(): Promise<Choice | null> {
    const { current, previous } = await this.#load();
    if (!current) return null;
    if (await this.#isUsable(current)) return current;
    return previous && (await this.#isUsable(previous)) ? previous : null;
  }

  /** Reads files of a downloaded model. */
  reader(choice: Choice): Read {
    return async (path) => {
      const data = await this.#storage.read(place(choice, path));
      if (!data) throw new Error(`The model ${choice.version} has no file ${path}.`);
      return data;
    };
  }

  /** The active model does not work here: go back to the one before it, and do not take it again. */
  async fallBack(): Promise<void> {
    const bad = await this.active();
    if (!bad) return;
    const state = await this.#load();
    const rejected = bad.model.digest;
    const current = rejected === state.current?.model.digest ? state.previous : state.current;
    await this.#save({ ...state, current, previous: null, rejected });
  }

  /** Ask the channel once; `conditions` are those that hold now, such as `wifi`. Never throws. */
  async check(selfTest: SelfTest, conditions: readonly string[] = []): Promise<Outcome> {
    const check = () => this.#check(selfTest, conditions);
    const locks = globalThis.navigator?.locks; // of two tabs, the second waits
    return locks ? locks.request(`mlc-updates ${this.#channel.name}`, check) : check();
  }

  async #check(selfTest: SelfTest, conditions: readonly string[]): Promise<Outcome> {
    let active: Choice | null = null;
    try {
      active = await this.active();
      const wanted = await this.#wanted(await this.#fetch());
      if (!wanted || wanted.model.digest === active?.model.digest) {
        return await this.#settle(wanted, active);
      }
      if (wanted.model.digest === (await this.#load()).rejected) {
        throw new Stop("rejected", `Version ${wanted.version} failed here before.`);
      }
      const missing = await this.#missing(wanted);
      const unmet = wanted.conditions.find((c) => !conditions.includes(c));
      if (missing.length > 0 && unmet !== undefined) {
        return { kind: "waiting", version: active?.version ?? null, reason: unmet, detail: "" };
      }
      await this.#install(wanted, missing, selfTest);
      return { kind: "updated", version: wanted.version, reason: "", detail: "" };
    } catch (error) {
      // What is not ours comes from the storage: errors of the network are caught where they happen.
      const { reason, detail } =
        error instanceof Stop ? error : new Stop("storage", String(error));
      return { kind: "failed", version: active?.version ?? null, reason, detail };
    }
  }

  /** The document, if it is signed, ours, and not older than what was seen. */
  async #fetch(): Promise<Models> {
    const state = await this.#load();
    const known = await this.#known(state);
    const answer = await this.#get("models.json", MOST_DOCUMENT, known && state.etag);
    const same = answer === "not modified";
    const { body: data, etag } = same ? { body: known!.document, etag: state.etag } : answer;
    const signature = same ? known!.signature : await this.#signatureOf(data);
    if (!(await isSigned(this.#channel.keys, signature, data))) {
      throw new Stop("signature", "models.json is not signed by a key that this app trusts.");
    }
    const models = read(data);
    if (models.name !== this.#channel.name) {
      throw new Stop("document", `This is the channel of ${models.name}.`);
    }
    if (models.sequence < state.sequence) {
      throw new Stop("replay", `Sequence ${models.sequence} came after ${state.sequence}.`);
    }
    if (models.expires !== null && models.expires < new Date().toISOString().slice(0, 10)) {
      throw new Stop("expired", `models.json was to be used until ${models.expires}.`);
    }
    const seen = { sequence: models.sequence, etag, document: decode(data), signature: base64(signature) };
    if (seen.document !== state.document || etag !== state.etag) await this.#save({ ...state, ...seen });
    return models;
  }

  /** The last document, if it is still what was signed: only then a 304 is of use. */
  async #known({ document, signature }: State): Promise<{ document: Bytes; signature: Bytes } | null> {
    try {
      const known = { document: encode(document!), signature: bytesOf(signature!) };
      const signed = await isSigned(this.#channel.keys, known.signature, known.document);
      return signed ? known : null;
    } catch {
      return null; // none yet, or no base64
    }
  }

  async #signatureOf(document: Bytes): Promise<Bytes> {
    return (await this.#file(`signatures/${await sha256(document)}`, SIGNATURE_BYTES)).body;
  }

  async #wanted(models: Models): Promise<Choice | null> {
    const choice = await choose(models, this.#device);
    const inside = choice?.variant === MAIN && choice.version === this.#channel.bundled;
    return inside ? null : choice;
  }

  /** Nothing to download: the device has it, or returns to the model inside the app. */
  async #settle(wanted: Choice | null, active: Choice | null): Promise<Outcome> {
    const state = await this.#load();
    if (!wanted && state.current) {
      await this.#save({ ...state, current: null, previous: state.current });
    } else if (wanted && JSON.stringify(wanted) !== JSON.stringify(state.current)) {
      await this.#save({ ...state, current: wanted }); // the same files in another release
    }
    const kind = !wanted && active ? "updated" : "current";
    return { kind, version: wanted?.version ?? null, reason: "", detail: "" };
  }

  /** What must be downloaded; files that an installed model has too are copied. */
  async #missing(wanted: Choice): Promise<File[]> {
    const { current, previous } = await this.#load();
    const have = new Map<string, string>();
    for (const choice of [current, previous]) {
      for (const { path, sha256 } of choice?.model.files ?? []) have.set(sha256, place(choice!, path));
    }
    const missing: File[] = [];
    for (const file of wanted.model.files) {
      const to = place(wanted, file.path);
      if (await this.#whole(to, file)) continue;
      const copy = have.has(file.sha256) && (await this.#whole(have.get(file.sha256)!, file));
      if (copy) await this.#storage.write(to, copy);
      else missing.push(file);
    }
    return missing;
  }

  async #install(wanted: Choice, missing: readonly File[], selfTest: SelfTest): Promise<void> {
    try {
      for (const file of missing) await this.#download(file, place(wanted, file.path));
      await this.#try(wanted, selfTest);
      await this.#switch(wanted);
    } catch (error) {
      // After half a download what is whole stays for the next time; else nothing does.
      if (!(error instanceof Stop) || error.reason === "self-test") await this.#discard(wanted);
      throw error;
    }
  }

  async #download(file: File, to: string): Promise<void> {
    const { body } = await this.#file(`files/${file.sha256}`, file.bytes);
    if (body.length !== file.bytes || (await sha256(body)) !== file.sha256) {
      throw new Stop("download", `${file.path} arrived damaged.`);
    }
    await this.#storage.write(to, body);
  }

  /** Golden self-test, noted as failed before it runs: what ends the page is not tried again. */
  async #try(wanted: Choice, selfTest: SelfTest): Promise<void> {
    await this.#save({ ...(await this.#load()), rejected: wanted.model.digest });
    let problem: string | null = "its golden outputs differ.";
    try {
      if (await selfTest(this.reader(wanted), wanted)) problem = null;
    } catch (error) {
      problem = String(error);
    }
    if (problem) throw new Stop("self-test", `Version ${wanted.version}: ${problem}`);
  }

  /** One write makes the new model current; only then older ones than the previous go. */
  async #switch(wanted: Choice): Promise<void> {
    const state = await this.#load();
    const again = state.current?.model.digest === wanted.model.digest; // it was damaged
    const previous = again ? state.previous : state.current;
    await this.#save({ ...state, current: wanted, previous, rejected: null });
    await this.#tidy(() => true);
  }

  async #discard(wanted: Choice): Promise<void> {
    await this.#tidy((path) => path.startsWith(place(wanted, ""))).catch(() => undefined);
  }

  /** Remove files that belong neither to the current model nor to the previous one. */
  async #tidy(which: (path: string) => boolean): Promise<void> {
    const { current, previous } = await this.#load();
    const kept = [current, previous].flatMap((choice) => (choice ? [place(choice, "")] : []));
    for (const path of await this.#storage.list()) {
      const loose = path !== STATE && !kept.some((folder) => path.startsWith(folder));
      if (loose && which(path)) await this.#storage.remove(path);
    }
  }

  async #file(path: string, most: number): Promise<Answer> {
    const answer = await this.#get(path, most, null);
    if (answer === "not modified") throw new Stop("network", `${path}: status 304.`);
    return answer;
  }

  /** The body of a 200, or "not modified" for a known ETag; never reads more than `most` bytes. */
  async #get(path: string, most: number, etag: string | null): Promise<Answer | "not modified"> {
    const patience = this.#channel.patience ?? 30_000;
    const stop = new AbortController();
    const expire = () => stop.abort(new Error(`nothing came for ${patience} ms`));
    let timer = setTimeout(expire, patience);
    try {
      const url = `${this.#channel.url.replace(/\/+$/, "")}/${path}`;
      const headers: HeadersInit = etag ? { "If-None-Match": etag } : {};
      const response = await fetch(url, { headers, cache: "no-cache", signal: stop.signal });
      if (response.status === 304 && etag) return "not modified";
      if (response.status !== 200) throw new Error(`status ${response.status}`);
      const chunks: Uint8Array[] = [];
      let length = 0;
      for (const reader = response.body!.getReader(); ; ) {
        const { done, value } = await reader.read();
        if (done) break;
        clearTimeout(timer);
        timer = setTimeout(expire, patience);
        chunks.push(value);
        length += value.length;
        if (length > most) throw new Error("too many bytes");
      }
      // Other origins hide the header unless they mean us to use it; then the browser's cache revalidates.
      return { body: joined(chunks, length), etag: response.headers.get("ETag") };
    } catch (error) {
      throw new Stop("network", `${path}: ${error instanceof Error ? error.message : String(error)}.`);
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }

  async #isUsable(choice: Choice): Promise<boolean> {
    const known = this.#device.interface;
    if (known !== null && known !== choice.model.interface) return false;
    for (const file of choice.model.files) {
      if (!(await this.#whole(place(choice, file.path), file))) return false;
    }
    return true;
  }

  async #whole(path: string, file: File): Promise<Bytes | null> {
    const data = await this.#storage.read(path);
    return data && (await sha256(data)) === file.sha256 ? data : null;
  }

  /** What is remembered; nothing yet, or nothing legible, is a new start. */
  async #load(): Promise<State> {
    const data = await this.#storage.read(STATE);
    try {
      const state = { ...NOTHING, ...(JSON.parse(decode(data!)) as State) };
      for (const choice of [state.current, state.previous]) if (choice) checkModel(choice.model);
      return state;
    } catch {
      return NOTHING;
    }
  }

  async #save(state: State): Promise<void> {
    await this.#storage.write(STATE, encode(JSON.stringify(state)));
  }
}

interface Answer {
  readonly body: Bytes;
  readonly etag: string | null;
}

/** Whether `signature` is that of `data` by one of the keys. Throws `Stop` where that cannot be known. */
export async function isSigned(
  keys: readonly string[],
  signature: Bytes,
  data: Bytes,
): Promise<boolean> {
  if (!globalThis.crypto?.subtle) {
    throw new Stop("signature", "Signatures can be verified on https pages only.");
  }
  for (const key of keys) {
    try {
      const imported = await crypto.subtle.importKey("raw", bytesOf(key), "Ed25519", false, ["verify"]);
      if (await crypto.subtle.verify("Ed25519", imported, signature, data)) return true;
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotSupportedError") {
        throw new Stop("signature", "This browser cannot verify Ed25519 signatures.");
      } // else it is no key: another may fit
    }
  }
  return false;
}

function read(data: Bytes): Models {
  try {
    return parse(decode(data));
  } catch (error) {
    throw new Stop("document", error instanceof Error ? error.message : String(error));
  }
}

/** Where a file of a model is in the storage. */
function place(choice: Choice, path: string): string {
  return `models/${choice.model.digest}/${path}`;
}

function joined(chunks: readonly Uint8Array[], length: number): Bytes {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

const encode = (text: string): Bytes => new TextEncoder().encode(text);
/** Strict, and a byte order mark stays, so that encoding gives the same bytes again. */
const decode = (data: Bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
const base64 = (data: Bytes) => btoa(String.fromCharCode(...data));
const bytesOf = (text: string): Bytes => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
