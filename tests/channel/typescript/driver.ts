/** The TypeScript client behind the protocol of tests/channel/driver.py, on a folder of this machine. */

import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";

import { atLeast, bucket, choose, parse, type Bytes, type Device } from "../../../web_demo/src/updates/rules.js";
import type { Storage } from "../../../web_demo/src/updates/storage.js";
import { Updates, isSigned } from "../../../web_demo/src/updates/updates.js";

interface Ask {
  readonly do: "bucket" | "at_least" | "choose" | "verifies" | "check" | "active" | "fall_back";
  readonly channel: string;
  readonly purpose: string;
  readonly user: string;
  readonly version: string;
  readonly bound: string;
  readonly models: unknown;
  readonly device: Device;
  readonly key: string;
  readonly signature: string;
  readonly data: string;
  readonly url: string;
  readonly name: string;
  readonly keys: readonly string[];
  readonly bundled: string;
  readonly timeout: number;
  readonly folder: string;
  readonly quota: number | null;
  readonly self_test: "pass" | "fail" | "throw" | "exit";
  readonly conditions: readonly string[];
}

/** Files as a browser's database keeps them: whole or not there, and no more than `quota` bytes each. */
function onDisk(folder: string, quota: number | null): Storage {
  return {
    read: (path) => readFile(join(folder, path)).then((data) => new Uint8Array(data), () => null),
    write: async (path, data) => {
      if (quota !== null && data.length > quota) throw new DOMException("full", "QuotaExceededError");
      const place = join(folder, path);
      await mkdir(dirname(place), { recursive: true });
      await writeFile(`${place}.part`, data);
      await rename(`${place}.part`, place);
    },
    list: async () => {
      const found = await readdir(folder, { recursive: true, withFileTypes: true });
      return found
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
    },
    remove: (path) => rm(join(folder, path)),
  };
}

const bytes = (text: string): Bytes => new Uint8Array(Buffer.from(text, "base64"));

async function answer(ask: Ask): Promise<object> {
  switch (ask.do) {
    case "bucket":
      return { bucket: await bucket(ask.channel, ask.purpose, ask.user) };
    case "at_least":
      return { at_least: atLeast(ask.version, ask.bound) };
    case "choose": {
      const found = await choose(parse(JSON.stringify(ask.models)), ask.device);
      const { version = null, variant = null, model } = found ?? {};
      return { version, variant, digest: model?.digest ?? null };
    }
    case "verifies":
      return { verifies: await isSigned([ask.key], bytes(ask.signature), bytes(ask.data)) };
    default:
      return onDevice(ask);
  }
}

async function onDevice(ask: Ask): Promise<object> {
  const { url, name, keys, bundled, timeout, folder } = ask;
  const channel = { url, name, keys, bundled, patience: timeout * 1000 };
  const updates = new Updates(channel, ask.device, onDisk(folder, ask.quota));
  let result = {};
  if (ask.do === "check") {
    const selfTest = async () => {
      if (ask.self_test === "exit") process.exit(3);
      if (ask.self_test === "throw") throw new Error("no such op");
      return ask.self_test === "pass";
    };
    const { kind, version, reason } = await updates.check(selfTest, ask.conditions);
    result = { kind, version, reason };
  } else if (ask.do === "fall_back") {
    await updates.fallBack();
  }
  const active = await updates.active();
  const at = active && join(folder, "models", active.model.digest);
  return { ...result, active: active?.version ?? null, folder: at };
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await answer(JSON.parse(line) as Ask)));
}
