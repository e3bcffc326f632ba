/**
 * From pixels to the input tensor, exactly as mlc fed the network that it verified.
 *
 * Pure: no browser, no runtime. Resizing is bilinear with antialiasing, a triangle filter as wide as the
 * reduction, in two passes with 8-bit pixels between them: what Pillow calls BILINEAR.
 */

/** Pixels as a canvas gives them (an `ImageData` is one): RGBA, 8 bits each, row by row. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray | Uint8Array;
}

/** What a bundle's manifest declares: `tensor = (pixel * scale - mean) / std`, pixel in 0..255. */
export interface Preprocessing {
  /** Size of the network's input. */
  readonly width: number;
  readonly height: number;
  readonly color: "rgb" | "bgr" | "gray";
  /** `stretch` fills the input, `crop` takes the centre, `letterbox` fits the whole on black. */
  readonly resize: "stretch" | "crop" | "letterbox";
  /** With `crop`: the part that is kept of the largest centred rectangle of the input's aspect. */
  readonly cropFraction: number;
  readonly scale: number;
  /** One number, or one per channel in the order of `color`. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Bring pixels to the size and channel order of the input: height × width × channels bytes. */
export function fit(pixels: Pixels, how: Preprocessing): Uint8Array {
  const image = inColor(pixels, how.color);
  const { width, height } = how;
  switch (how.resize) {
    case "stretch":
      return resample(image, whole(image), width, height);
    case "crop":
      return resample(image, centre(image, how), width, height);
    case "letterbox":
      return letterbox(image, width, height);
  }
}

/** The input tensor of a picture: 1 × height × width × channels. */
export function tensorOf(pixels: Pixels, how: Preprocessing): Float32Array {
  return scaled(fit(pixels, how), how);
}

/** Scale bytes in the input's channel order to what the network was trained on, in float32. */
export function scaled(bytes: Uint8Array, how: Preprocessing): Float32Array {
  const channels = channelCount(how.color);
  const tables = Array.from({ length: channels }, (_, channel) => levels(how, channel));
  const tensor = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) tensor[i] = tables[i % channels]![bytes[i]!]!;
  return tensor;
}

/** How far apart two neighbouring pixel values are in the tensor, for each channel. */
export function pixelSteps(how: Preprocessing): number[] {
  const channels = channelCount(how.color);
  return Array.from({ length: channels }, (_, c) => Math.abs(how.scale / perChannel(how.std, c)));
}

/** 1 for gray, else 3. */
export function channelCount(color: Preprocessing["color"]): number {
  return color === "gray" ? 1 : 3;
}

/** What each of the 256 pixel values becomes. Rounded to float32 after every operation, as in Python. */
function levels(how: Preprocessing, channel: number): Float32Array {
  const scale = Math.fround(how.scale);
  const mean = Math.fround(perChannel(how.mean, channel));
  const std = Math.fround(perChannel(how.std, channel));
  return Float32Array.from({ length: 256 }, (_, pixel) =>
    Math.fround(Math.fround(Math.fround(pixel * scale) - mean) / std),
  );
}

function perChannel(values: readonly number[], channel: number): number {
  return values[values.length === 1 ? 0 : channel]!;
}

// --- pictures in the network's channel order ---

interface Image {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly bytes: Uint8Array;
}

/** Drop alpha and order the channels. Gray is ITU-R 601-2 luma in 16-bit fixed point. */
function inColor({ width, height, data }: Pixels, color: Preprocessing["color"]): Image {
  const channels = channelCount(color);
  const bytes = new Uint8Array(width * height * channels);
  const [red, blue] = color === "bgr" ? [2, 0] : [0, 2];
  for (let from = 0, to = 0; to < bytes.length; from += 4, to += channels) {
    const [r, g, b] = [data[from]!, data[from + 1]!, data[from + 2]!];
    if (color === "gray") {
      bytes[to] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
    } else {
      bytes[to + red] = r;
      bytes[to + 1] = g;
      bytes[to + blue] = b;
    }
  }
  return { width, height, channels, bytes };
}

// --- which part of the picture goes in ---

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

function whole({ width, height }: Image): Box {
  return { left: 0, top: 0, right: width, bottom: height };
}

function centre(image: Image, how: Preprocessing): Box {
  const shrink =
    Math.min(image.width / how.width, image.height / how.height) * how.cropFraction;
  const dx = Math.max(0, image.width - how.width * shrink);
  const dy = Math.max(0, image.height - how.height * shrink);
  const left = Math.floor(dx / 2); // half a pixel would blur
  const top = Math.floor(dy / 2);
  return { left, top, right: left + image.width - dx, bottom: top + image.height - dy };
}

function letterbox(image: Image, width: number, height: number): Uint8Array {
  const grow = Math.min(width / image.width, height / image.height);
  const innerWidth = Math.max(1, roundHalfEven(image.width * grow));
  const innerHeight = Math.max(1, roundHalfEven(image.height * grow));
  const inner = resample(image, whole(image), innerWidth, innerHeight);
  const left = Math.floor((width - innerWidth) / 2);
  const top = Math.floor((height - innerHeight) / 2);
  const bytes = new Uint8Array(width * height * image.channels);
  const row = innerWidth * image.channels;
  for (let y = 0; y < innerHeight; y++) {
    const at = ((top + y) * width + left) * image.channels;
    bytes.set(inner.subarray(y * row, (y + 1) * row), at);
  }
  return bytes;
}

function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest === 0.5 ? below + (below % 2) : Math.round(value);
}

// --- resampling ---

/** Weights are fixed-point numbers with so many bits after the point. */
const PRECISION = 22;

/** The source pixels that each output pixel is made of, and their weights. */
interface Taps {
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `stride` weights for each output pixel, `count` of them used. */
  readonly weights: Int32Array;
  readonly stride: number;
}

function taps(from: number, to: number, length: number, size: number): Taps {
  const start = Math.fround(from);
  const scale = Math.fround(Math.fround(to) - start) / size;
  const support = Math.max(scale, 1);
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(size);
  const count = new Int32Array(size);
  const weights = new Int32Array(size * stride);
  for (let out = 0; out < size; out++) {
    const centre = start + (out + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const high = Math.min(length, Math.trunc(centre + support + 0.5));
    const shares = Array.from({ length: high - low }, (_, k) =>
      triangle((k + low - centre + 0.5) * (1 / support)),
    );
    const total = shares.reduce((sum, share) => sum + share, 0);
    first[out] = low;
    count[out] = high - low;
    shares.forEach((share, k) => {
      weights[out * stride + k] = Math.trunc(0.5 + (share / total) * 2 ** PRECISION);
    });
  }
  return { first, count, weights, stride };
}

function triangle(x: number): number {
  return Math.max(0, 1 - Math.abs(x));
}

/** Columns first, then rows; rounded to whole pixels after each. */
function resample(image: Image, box: Box, width: number, height: number): Uint8Array {
  const { channels, bytes } = image;
  const across = taps(box.left, box.right, image.width, width);
  const down = taps(box.top, box.bottom, image.height, height);
  const firstRow = down.first[0]!;
  const lastRow = down.first[height - 1]! + down.count[height - 1]!;

  const narrow = new Uint8Array((lastRow - firstRow) * width * channels);
  for (let y = firstRow, to = 0; y < lastRow; y++) {
    for (let x = 0; x < width; x++) {
      const start = (y * image.width + across.first[x]!) * channels;
      for (let channel = 0; channel < channels; channel++) {
        narrow[to++] = blend(bytes, start + channel, channels, across, x);
      }
    }
  }

  const row = width * channels;
  const result = new Uint8Array(height * row);
  for (let y = 0, to = 0; y < height; y++) {
    const start = (down.first[y]! - firstRow) * row;
    for (let i = 0; i < row; i++) result[to++] = blend(narrow, start + i, row, down, y);
  }
  return result;
}

/** The weighted sum of every `step`-th byte from `start` on, for output pixel `out`. */
function blend(
  bytes: Uint8Array,
  start: number,
  step: number,
  { count, weights, stride }: Taps,
  out: number,
): number {
  let sum = 1 << (PRECISION - 1);
  for (let k = 0, at = start; k < count[out]!; k++, at += step) {
    sum += bytes[at]! * weights[out * stride + k]!;
  }
  return Math.min(sum >> PRECISION, 255);
}
