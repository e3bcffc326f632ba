/** What the page asks of a runtime library. */

import type { Runtime, Target } from "@mlc/bindings/model.js";
import type { Bundle } from "../bundle.js";

/** A library on one of its backends, which runs the artifact of one target. */
export interface Engine {
  /** For addresses: `?runtime=tfjs-wasm`. */
  readonly id: string;
  /** For people. */
  readonly library: string;
  readonly backend: string;
  readonly target: Target;
  /** Why this browser cannot run it; empty where it can. */
  obstacle(): Promise<string>;
  /** Load library and artifact. */
  open(bundle: Bundle): Promise<Runtime>;
  /** How many tensors the library holds now, where it can tell. */
  tensors?(): number;
}

export function titleOf({ library, backend }: Engine): string {
  return `${library} · ${backend}`;
}

/** Where build.mjs put what each library loads by itself. */
declare const LIBRARIES: Readonly<Record<"tfjs" | "ort" | "litert", string>>;

export function libraryFolder(library: keyof typeof LIBRARIES): string {
  return new URL(LIBRARIES[library], document.baseURI).href;
}

export async function nothing(): Promise<string> {
  return "";
}

export async function noWebGl(): Promise<string> {
  return new OffscreenCanvas(1, 1).getContext("webgl2") ? "" : "This browser has no WebGL 2.";
}

export async function noWebGpu(): Promise<string> {
  const adapter = await navigator.gpu?.requestAdapter();
  return adapter ? "" : "This browser gives no WebGPU adapter.";
}
