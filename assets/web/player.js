// The mix on the page: one video element with picture and sound.

/**
 * Plays the received MediaStream in a `<video>`. `tap` is the button that appears where the browser wants a gesture
 * before it makes a sound (or plays at all). Events: `sound`, whenever it becomes audible or silent.
 */
export class Player extends EventTarget {
  #video;
  #tap;

  constructor(video, tap, { muted = false } = {}) {
    super();
    this.#video = video;
    this.#tap = tap;
    video.muted = muted;
    tap.addEventListener('click', () => this.unmute());
    video.addEventListener('volumechange', () => this.#update());
    this.#update();
  }

  /** Whether the sound is on. */
  get audible() {
    return !this.#video.muted;
  }

  /** Shows another stream, or nothing with `null`. */
  async show(stream) {
    if (this.#video.srcObject === stream) return;
    this.#video.srcObject = stream;
    if (stream) await this.#play();
    this.#update();
  }

  /** Sound on; to be called from a gesture. */
  async unmute() {
    this.#video.muted = false;
    await this.#play();
    this.#update();
  }

  /** Sound off. */
  mute() {
    this.#video.muted = true;
  }

  // A browser that refuses sound without a gesture still shows the picture; one that saves power refuses both.
  async #play() {
    try {
      await this.#video.play();
    } catch (error) {
      if (error.name !== 'NotAllowedError') return; // Interrupted by the next stream, which plays by itself.
      this.#video.muted = true;
      await this.#video.play().catch(() => {});
    }
  }

  #update() {
    this.#tap.hidden = this.#video.srcObject === null || (this.audible && !this.#video.paused);
    this.dispatchEvent(new Event('sound'));
  }
}
