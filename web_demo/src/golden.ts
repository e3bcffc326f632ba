/** The golden cases of a bundle: example pictures, and the self-test. */

import { decodePng } from "@mlc/bindings/browser.js";
import { type Golden, readGolden } from "@mlc/bindings/golden.js";
import type { Bundle } from "./bundle.js";

/** The cases of a bundle; null where it carries none. */
export async function goldenOf(bundle: Bundle): Promise<Golden | null> {
  const { golden } = bundle.manifest;
  if (!golden) return null;
  return readGolden((path) => bundle.read(path), decodePng, golden.file);
}
