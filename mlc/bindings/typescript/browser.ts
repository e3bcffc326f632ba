/** Pixels from what browsers have: files, canvases, bitmaps, video. */

import type { Pixels } from "./preprocessing.js";

/** The pixels of a picture, a canvas or the current frame of a video, in its own size. */
export function pixelsOf(source: HTMLVideoElement | ImageBitmap | ImageData): Pixels {
  if (source instanceof ImageData) return source;
  const [width, height] =
    source instanceof HTMLVideoElement
      ? [source.videoWidth, source.videoHeight]
      : [source.width, source.height];
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  if (!context) throw new Error("This browser gives no 2D canvas.");
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Decode a photo file, upright as its EXIF orientation says. */
export async function decodePhoto(file: Blob): Promise<Pixels> {
  return decode(file, { imageOrientation: "from-image" });
}

/** Decode a golden PNG without changing a pixel. */
export async function decodePng(png: ArrayBuffer): Promise<Pixels> {
  const exact = { colorSpaceConversion: "none", premultiplyAlpha: "none" } as const;
  return decode(new Blob([png], { type: "image/png" }), exact);
}

async function decode(file: Blob, options: ImageBitmapOptions): Promise<Pixels> {
  const bitmap = await createImageBitmap(file, options);
  try {
    return pixelsOf(bitmap);
  } finally {
    bitmap.close();
  }
}
