/** A bundle that `mlc build` wrote, from a web address or from a folder of this device. */

import { describe } from "@mlc/bindings/manifest.js";
import type { Description, Target } from "@mlc/bindings/model.js";

/** The parts of manifest.json that the page shows beside what the bindings read. */
interface Manifest {
  readonly recipe: string;
  readonly model: { readonly description: string; readonly license: string };
  readonly golden: { readonly file: string } | null;
  readonly artifacts: readonly { target: string; weights: string; activations: string }[];
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

/** Reads one file by its path inside the bundle. */
export type ReadFile = (path: string) => Promise<ArrayBuffer>;

/** Its facts, and its files: every one is checked against the manifest as it is read. */
export class Bundle {
  readonly about: Description;
  readonly manifest: Manifest;
  readonly #read: ReadFile;

  private constructor(read: ReadFile, about: Description, manifest: unknown) {
    this.#read = read;
    this.about = about;
    this.manifest = manifest as Manifest;
  }

  /**
   * Open the bundle that `read` finds files of; of an update, there are the files of one target `only`.
   * Throws where there is no manifest of a bundle.
   */
  static async open(read: ReadFile, only?: Target): Promise<Bundle> {
    const text = new TextDecoder().decode(await read("manifest.json"));
    let manifest: unknown;
    try {
      manifest = JSON.parse(text);
    } catch {
      throw new Error("There is no manifest.json of a bundle there.");
    }
    const about = describe(manifest);
    if (!only) return new Bundle(read, about, manifest);
    const artifacts = { [only]: about.artifacts[only] };
    return new Bundle(read, { ...about, artifacts }, manifest);
  }

  /** A file of the bundle; throws where its bytes are not those that the manifest lists. */
  async read(path: string): Promise<ArrayBuffer> {
    const listed = this.manifest.files[path];
    if (!listed) throw new Error(`${path} is not listed in manifest.json.`);
    const data = await this.#read(path);
    const found = await sha256(data);
    if (found !== null && found !== listed.sha256) {
      throw new Error(`${path} is not the file that manifest.json lists: its SHA-256 differs.`);
    }
    return data;
  }

  /** Precision of the artifact for `target`, for people. */
  precision(target: Target): string {
    const { weights, activations } = this.manifest.artifacts.find((a) => a.target === target)!;
    return weights === activations ? weights : `${weights} weights`;
  }
}

/** Files below a web address. */
export function fromUrl(url: string): ReadFile {
  const base = new URL(url.endsWith("/") ? url : `${url}/`, document.baseURI);
  return async (path) => {
    const address = new URL(path, base);
    const response = await fetch(address, { cache: "no-cache" });
    if (!response.ok) throw new Error(`${address} answers with status ${response.status}.`);
    return response.arrayBuffer();
  };
}

/** Files of a folder that was picked or dropped; the bundle may be the folder, or one level inside it. */
export function fromFiles(files: ReadonlyMap<string, File>): ReadFile {
  const manifests = [...files.keys()].filter((path) => /(^|\/)manifest\.json$/.test(path));
  const nearest = manifests.sort((a, b) => a.length - b.length)[0];
  return async (path) => {
    if (nearest === undefined) throw new Error("There is no manifest.json in that folder.");
    const file = files.get(nearest.replace("manifest.json", path));
    if (!file) throw new Error(`The folder has no file ${path}.`);
    return file.arrayBuffer();
  };
}

/** Null where the browser hashes on https pages only, and this is none. */
async function sha256(data: ArrayBuffer): Promise<string | null> {
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
