/** The camera of the device, frame by frame. */

import { pixelsOf } from "@mlc/bindings/browser.js";
import type { Pixels } from "@mlc/bindings/preprocessing.js";

/** State: a stream that is stopped by `close`. */
export class Camera {
  readonly video = document.createElement("video");
  readonly #stream: MediaStream;
  #open = true;

  private constructor(stream: MediaStream) {
    this.#stream = stream;
    this.video.srcObject = stream;
    this.video.muted = true;
    this.video.playsInline = true; // iPhones show a video in full screen else
    this.video.setAttribute("aria-label", "What the camera sees");
  }

  /** Ask for the camera on the back. Throws with a sentence where there is none, or it is refused. */
  static async open(): Promise<Camera> {
    if (!navigator.mediaDevices) throw new Error("The camera works on https pages only.");
    const wanted = { facingMode: "environment", width: { ideal: 640 }, height: { ideal: 480 } };
    try {
      const camera = new Camera(await navigator.mediaDevices.getUserMedia({ video: wanted }));
      await camera.video.play();
      return camera;
    } catch (error) {
      const refused = error instanceof DOMException && error.name === "NotAllowedError";
      const why = refused ? "The camera was not allowed" : "There is no camera that can be used";
      throw new Error(`${why}. Pick a photo instead.`);
    }
  }

  /** The latest frame, each time it is asked for the next one; ends when the camera is closed. */
  async *frames(): AsyncGenerator<Pixels> {
    while (this.#open) {
      await new Promise((shown) => requestAnimationFrame(shown));
      if (this.#open && this.video.videoWidth > 0) yield pixelsOf(this.video);
    }
  }

  close(): void {
    this.#open = false;
    for (const track of this.#stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}

/** Frames per second over the last two seconds. */
export class FrameRate {
  #times: number[] = [];

  add(now: number): void {
    this.#times = [...this.#times.filter((time) => time > now - 2000), now];
  }

  get value(): number | null {
    const [first, last] = [this.#times[0], this.#times.at(-1)];
    if (first === undefined || last === undefined || last === first) return null;
    return (1000 * (this.#times.length - 1)) / (last - first);
  }
}
