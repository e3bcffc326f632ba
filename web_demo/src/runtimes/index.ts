/** Every runtime of the page: a new one is one more file and one more line here. */

import type { Bundle } from "../bundle.js";
import { type Engine, titleOf } from "./engine.js";
import { litert } from "./litert.js";
import { onnx } from "./onnx.js";
import { tfjs } from "./tfjs.js";

export { type Engine, titleOf };

export const ENGINES: readonly Engine[] = [...tfjs, ...onnx, ...litert];

/** An engine, and why it cannot run this bundle here; empty where it can. */
export interface Choice {
  readonly engine: Engine;
  readonly obstacle: string;
}

/** All engines, asked whether they can run `bundle` in this browser. */
export function choices(bundle: Bundle): Promise<Choice[]> {
  return Promise.all(
    ENGINES.map(async (engine) => {
      const missing = `The bundle has no ${engine.target} artifact.`;
      const obstacle = bundle.about.artifacts[engine.target] ? await engine.obstacle() : missing;
      return { engine, obstacle };
    }),
  );
}
