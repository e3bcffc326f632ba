/** Numbers for people; a number and its unit stay on one line. */

export function milliseconds(value: number): string {
  return value < 10 ? `${value.toFixed(1)}\u00a0ms` : value < 10_000 ? `${Math.round(value)}\u00a0ms` : `${(value / 1000).toFixed(1)}\u00a0s`;
}

export function megabytes(bytes: number): string {
  return bytes < 100_000 ? `${(bytes / 1000).toFixed(1)}\u00a0kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 1)}\u00a0MB`;
}

export function percent(share: number): string {
  const value = 100 * share;
  return value > 0 && value < 0.1 ? "<\u00a00.1\u00a0%" : `${value.toFixed(1)}\u00a0%`;
}

/** `not_hot_dog` is how files are labelled, `not hot dog` how people talk. */
export function spoken(label: string): string {
  return label.replaceAll("_", " ");
}
