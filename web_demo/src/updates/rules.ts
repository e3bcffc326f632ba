/**
 * What a device runs: the document of a channel and the pure rules over it.
 *
 * The same in every client; docs/channel.md of mlc explains them, docs/channel_vectors.json tests them.
 */

/** `Uint8Array` that WebCrypto and IndexedDB take: never over shared memory. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** One file of a model: where it belongs in the bundle, and what its bytes are. */
export interface File {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** What one target downloads. `digest` names it; `interface` is that of code generated for it. */
export interface Model {
  readonly artifact: string;
  readonly interface: string;
  readonly digest: string;
  readonly files: readonly File[];
}

type Versions = Readonly<Record<string, string>>;

interface Variant {
  readonly name: string;
  /** Of the 10000 buckets. */
  readonly share: number;
  readonly targets: Readonly<Record<string, Model>>;
}

interface Release {
  readonly version: string;
  readonly withdrawn: boolean;
  readonly rollout: number;
  readonly minimum_app: Versions;
  readonly below_app: Versions;
  readonly minimum_os: Versions;
  readonly conditions: readonly string[];
  readonly variants: readonly Variant[];
}

/** models.json; releases stand newest first. */
export interface Models {
  readonly name: string;
  readonly sequence: number;
  readonly expires: string | null;
  readonly releases: readonly Release[];
}

/** What the rules may ask. `interface` is that of the app's generated code; null takes any. */
export interface Device {
  readonly platform: string;
  readonly target: string;
  readonly app: string;
  readonly os: string;
  readonly user: string;
  readonly interface: string | null;
}

/** The model for a device, and of which release and variant it is. */
export interface Choice {
  readonly version: string;
  readonly variant: string;
  readonly conditions: readonly string[];
  readonly model: Model;
}

/** The name of the only variant of a release. */
export const MAIN = "main";

const BUCKETS = 10_000;

/** SHA-256 in hexadecimal. */
export async function sha256(data: Bytes): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Where a user stands, 0 to 9999: SHA-256 of `channel:purpose:user`, first four bytes, modulo 10000. */
export async function bucket(channel: string, purpose: string, user: string): Promise<number> {
  const digest = await sha256(new TextEncoder().encode(`${channel}:${purpose}:${user}`));
  return parseInt(digest.slice(0, 8), 16) % BUCKETS;
}

/** Whether `version` is `bound` or newer, number by number; what follows the leading numbers is ignored. */
export function atLeast(version: string, bound: string): boolean {
  const [ours, theirs] = [numbers(version), numbers(bound)];
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const difference = (ours[i] ?? 0) - (theirs[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** The first release that is for the device; null means the model inside the app. */
export async function choose(models: Models, device: Device): Promise<Choice | null> {
  const [rollout, place] = await Promise.all([
    bucket(models.name, "rollout", device.user),
    bucket(models.name, "variant", device.user),
  ]);
  for (const release of models.releases) {
    const { version, conditions } = release;
    const variant = variantAt(release, place);
    const model = variant?.targets[device.target];
    if (
      variant &&
      model &&
      !release.withdrawn &&
      within(release, device) &&
      rollout < release.rollout &&
      (device.interface === null || device.interface === model.interface)
    ) {
      return { version, variant: variant.name, conditions, model };
    }
  }
  return null;
}

/** Read models.json. Throws where it is not what the rules need; properties it does not know are ignored. */
export function parse(text: string): Models {
  const found = JSON.parse(text) as Models & { format: unknown };
  check(found?.format === 1, "format");
  check(isName(found.name) && isCount(found.sequence) && found.sequence > 0, "top");
  check(found.expires === null || matches(found.expires, /^\d{4}-\d\d-\d\d$/), "expires");
  check(isList(found.releases) && found.releases.length > 0, "releases");
  for (const release of found.releases) checkRelease(release);
  return found;
}

function checkRelease(release: Release): void {
  const { version, withdrawn, rollout, conditions, variants } = release;
  check(isName(version) && typeof withdrawn === "boolean" && isShare(rollout), "release");
  for (const bounds of [release.minimum_app, release.below_app, release.minimum_os]) {
    check(isObject(bounds), "bounds");
    for (const bound of Object.values(bounds)) check(matches(bound, /^\d+(\.\d+)*$/), "bounds");
  }
  check(isList(conditions) && conditions.every(isName), "conditions");
  check(isList(variants) && variants.length > 0, "variants");
  for (const variant of variants) {
    check(isName(variant?.name) && isShare(variant.share) && isObject(variant.targets), "variant");
    Object.values(variant.targets).forEach(checkModel);
  }
}

/** Also of a model that was stored on this device. */
export function checkModel(model: Model): void {
  check(isPath(model?.artifact), "artifact");
  check(isSha256(model.interface) && isSha256(model.digest), "model");
  check(isList(model.files) && model.files.length > 0, "files");
  for (const file of model.files) {
    check(isPath(file?.path) && isSha256(file.sha256) && isCount(file.bytes), "file");
  }
}

function check(holds: boolean, where: string): asserts holds {
  if (!holds) throw new Error(`models.json is not valid: ${where}.`);
}

function matches(value: unknown, pattern: RegExp): boolean {
  return typeof value === "string" && pattern.test(value);
}

function isName(value: unknown): boolean {
  return matches(value, /^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$/);
}

function isSha256(value: unknown): boolean {
  return matches(value, /^[0-9a-f]{64}$/);
}

/** Relative, and no part of it is empty or starts with a dot. */
function isPath(value: unknown): boolean {
  return matches(value, /^[^./\\\x00-\x1f][^/\\\x00-\x1f]*(\/[^./\\\x00-\x1f][^/\\\x00-\x1f]*)*$/);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isShare(value: unknown): boolean {
  return isCount(value) && (value as number) <= BUCKETS;
}

function isList(value: unknown): boolean {
  return Array.isArray(value);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !isList(value);
}

function within(release: Release, { platform, app, os }: Device): boolean {
  const oldest = release.minimum_app[platform];
  const tooNew = release.below_app[platform];
  const oldestOs = release.minimum_os[platform];
  return (
    (oldest === undefined || atLeast(app, oldest)) &&
    (tooNew === undefined || !atLeast(app, tooNew)) &&
    (oldestOs === undefined || atLeast(os, oldestOs))
  );
}

/** The shares lie end to end in the order of the document. */
function variantAt(release: Release, place: number): Variant | undefined {
  return release.variants.find(({ share }) => {
    if (place < share) return true;
    place -= share;
    return false;
  });
}

function numbers(version: string): number[] {
  return /^[0-9.]*/.exec(version)![0].split(".").map(Number);
}
