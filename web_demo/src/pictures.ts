/** Pixels as an address that an `<img>` shows. */

import type { Pixels } from "@mlc/bindings/preprocessing.js";

/** Drawn once for each picture, not at every change of the page. */
const addresses = new WeakMap<Pixels, string>();

export function addressOf(pixels: Pixels): string {
  const known = addresses.get(pixels) ?? drawn(pixels);
  addresses.set(pixels, known);
  return known;
}

function drawn({ data, width, height }: Pixels): string {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")!.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
  return canvas.toDataURL();
}
