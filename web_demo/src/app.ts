/** What the page knows and does. Views read it; every change draws them again. */

import { decodePhoto } from "@mlc/bindings/browser.js";
import { type CaseResult, type Golden, selfTest } from "@mlc/bindings/golden.js";
import type { Pixels } from "@mlc/bindings/preprocessing.js";
import { type Benchmark, benchmark } from "./benchmark.js";
import type { Bundle } from "./bundle.js";
import { Camera, FrameRate } from "./camera.js";
import { type Opinion, ask } from "./comparison.js";
import { type Answer, answer } from "./frame.js";
import { goldenOf } from "./golden.js";
import { type Loaded, load, zeros } from "./loading.js";
import { addressOf } from "./pictures.js";
import { type Choice, type Engine, choices, titleOf } from "./runtimes/index.js";

export type Tab = "try" | "compare" | "test" | "benchmark";

/** A picture to look at: `url` for the eyes, `pixels` for the network. */
export interface Photo {
  readonly name: string;
  readonly url: string;
  readonly pixels: Pixels;
}

/** The state of the page. One thing computes at a time: models share a thread and a backend. */
export class App {
  tab: Tab = "try";
  bundle: Bundle | null = null;
  golden: Golden | null = null;
  choices: readonly Choice[] = [];
  /** The runtime that was chosen; `loaded` is null until it is ready, or if it fails. */
  engine: Engine | null = null;
  loaded: Loaded | null = null;
  /** What goes on, and what went wrong, for people; empty when nothing does. */
  busy = "";
  problem = "";
  /** What became of the last look for an update; empty where the page follows no channel. */
  news = "";

  photo: Photo | null = null;
  camera: Camera | null = null;
  answer: Answer | null = null;
  framesPerSecond: number | null = null;
  frames = 0;

  opinions: readonly Opinion[] = [];
  cases: readonly CaseResult[] | null = null;
  benchmarks: readonly Benchmark[] = [];

  readonly #draw: (app: App) => void;
  #last: Promise<unknown> = Promise.resolve();
  #scheduled = false;

  constructor(draw: (app: App) => void) {
    this.#draw = draw;
  }

  get usable(): readonly Engine[] {
    return this.choices.filter(({ obstacle }) => obstacle === "").map(({ engine }) => engine);
  }

  changed(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#draw(this);
    });
  }

  show(tab: Tab): void {
    this.tab = tab;
    this.changed();
  }

  // --- bundles and runtimes ---

  /** Take another bundle; on `preferred`, or the first runtime that can run it. */
  openBundle(opening: () => Promise<Bundle>, preferred: string | null = null): Promise<void> {
    return this.#alone("Opening the bundle", async () => {
      const bundle = await opening();
      const found = await choices(bundle);
      const golden = await goldenOf(bundle);
      this.stopCamera();
      this.#unload();
      this.engine = null;
      this.bundle = bundle;
      this.choices = found;
      this.golden = golden;
      this.#show(null);
      this.benchmarks = [];
      const engine = this.usable.find(({ id }) => id === preferred) ?? this.usable[0];
      if (!engine) throw new Error("This browser can run no artifact of this bundle.");
      await this.#load(engine);
      const example = golden?.cases.find(({ picture }) => picture);
      if (example) await this.#look(`Example ${example.name}`, example.picture!);
    });
  }

  /** Whether a bundle that is not in use yet passes its golden cases here; without any, it must run. */
  async tryOut(bundle: Bundle): Promise<boolean> {
    let passed = false;
    await this.#alone("Testing an update", async () => {
      const usable = (await choices(bundle)).find(({ obstacle }) => obstacle === "");
      if (!usable) throw new Error("This browser cannot run the update.");
      const [{ model }, golden] = [await load(usable.engine, bundle), await goldenOf(bundle)];
      try {
        passed = !golden || (await selfTest(model, golden)).every((result) => result.passed);
      } finally {
        model.close();
      }
    });
    return passed;
  }

  use(engine: Engine): Promise<void> {
    this.engine = engine;
    return this.#alone(`Loading ${titleOf(engine)}`, async () => {
      this.#unload();
      await this.#load(engine);
      if (this.photo) this.answer = await answer(this.loaded!.model, this.photo.pixels);
    });
  }

  async #load(engine: Engine): Promise<void> {
    this.engine = engine;
    this.busy = `Loading ${titleOf(engine)}`;
    this.changed();
    this.loaded = await load(engine, this.bundle!);
  }

  #unload(): void {
    this.loaded?.model.close();
    this.loaded = null;
    this.answer = null;
    this.cases = null;
    this.frames = 0;
  }

  // --- pictures ---

  openPhoto(file: File): Promise<void> {
    return this.#alone("Reading the photo", async () => {
      const pixels = await decodePhoto(file).catch(() => {
        throw new Error(`${file.name} is no picture that this browser can read.`);
      });
      this.stopCamera();
      await this.#look(file.name, pixels, URL.createObjectURL(file));
    });
  }

  openExample(name: string, pixels: Pixels): Promise<void> {
    return this.#alone("Looking", async () => {
      this.stopCamera();
      await this.#look(name, pixels);
    });
  }

  async #look(name: string, pixels: Pixels, url = addressOf(pixels)): Promise<void> {
    if (!this.bundle?.about.preprocessing) throw new Error("This network takes no picture.");
    this.#show({ name, url, pixels });
    if (this.loaded) this.answer = await answer(this.loaded.model, pixels);
  }

  #show(photo: Photo | null): void {
    if (this.photo) URL.revokeObjectURL(this.photo.url);
    this.photo = photo;
    this.opinions = [];
  }

  async startCamera(): Promise<void> {
    await this.#alone("Starting the camera", async () => {
      this.stopCamera();
      this.camera = await Camera.open();
      this.answer = null;
    });
    if (this.camera) void this.#watch(this.camera);
  }

  stopCamera(): void {
    this.camera?.close();
    this.camera = null;
    this.framesPerSecond = null;
  }

  async #watch(camera: Camera): Promise<void> {
    const rate = new FrameRate();
    for await (const pixels of camera.frames()) {
      await this.#alone("", async () => {
        if (!this.loaded || this.camera !== camera) return;
        this.answer = await answer(this.loaded.model, pixels);
        this.frames += 1;
        rate.add(performance.now());
        this.framesPerSecond = rate.value;
      });
      if (this.problem) this.stopCamera();
    }
  }

  // --- proofs ---

  compare(): Promise<void> {
    return this.#alone("Comparing", async () => {
      const pixels = this.#pixels();
      this.opinions = [];
      for (const engine of this.usable) {
        this.busy = `Asking ${titleOf(engine)}`;
        this.changed();
        this.opinions = [...this.opinions, await ask(engine, this.bundle!, pixels)];
        this.changed();
      }
    });
  }

  test(): Promise<void> {
    return this.#alone("Running the golden cases", async () => {
      this.cases = null;
      if (!this.golden) throw new Error("This bundle has no golden cases.");
      this.cases = await selfTest(this.#model().model, this.golden);
    });
  }

  measure(warmUp: number, runs: number, engines: readonly Engine[]): Promise<void> {
    return this.#alone("Measuring", async () => {
      this.benchmarks = [];
      for (const engine of engines) {
        const own = engine === this.engine;
        this.busy = `Loading ${titleOf(engine)}`;
        this.changed();
        const loaded = own ? this.#model() : await load(engine, this.bundle!);
        const progress = (done: number): void => {
          this.busy = `Measuring ${titleOf(engine)}: ${Math.round(100 * done)} %`;
          this.changed();
        };
        try {
          const { model } = loaded;
          const inputs = model.about.preprocessing ? model.inputs(this.#pixels()) : zeros(model.about);
          const measured = await benchmark(loaded, inputs, { warmUp, runs }, progress);
          this.benchmarks = [...this.benchmarks, measured];
        } finally {
          if (!own) loaded.model.close();
        }
      }
    });
  }

  #model(): Loaded {
    if (!this.loaded) throw new Error("No model is loaded.");
    return this.loaded;
  }

  #pixels(): Pixels {
    if (!this.photo) throw new Error("Pick a photo first.");
    return this.photo.pixels;
  }

  /** Do one thing after the others; an error becomes a sentence on the page. */
  #alone(what: string, work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(async () => {
      if (what) {
        this.busy = what;
        this.problem = "";
        this.changed();
      }
      try {
        await work();
      } catch (error) {
        this.problem = error instanceof Error ? error.message : String(error);
      }
      this.busy = "";
      this.changed();
    });
    this.#last = turn;
    return turn;
  }
}
