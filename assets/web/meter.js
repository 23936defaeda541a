// The level of a microphone, as a bar.

const FLOOR_DB = -60;

/** The bar's length, 0 to 1, for samples in -1…1: their RMS on a decibel scale from -60 dBFS to 0. Pure. */
export function levelOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / samples.length);
  if (rms === 0) return 0;
  return Math.min(1, Math.max(0, 1 - (20 * Math.log10(rms)) / FLOOR_DB));
}

/** Shows the level of one track at a time in an element with `role="meter"` and a `.meter-bar` child. */
export class Meter {
  #element;
  #bar;
  #context = null;
  #source = null;
  #analyser = null;
  #track = null;
  #frame = 0;
  #spoken = -1;

  constructor(element) {
    this.#element = element;
    this.#bar = element.querySelector('.meter-bar');
  }

  /** Shows this track's level, or nothing with `null`. */
  show(track) {
    if (track === this.#track) return;
    this.#track = track;
    this.#source?.disconnect();
    this.#source = null;
    cancelAnimationFrame(this.#frame);
    this.#draw(0);
    if (!track) return;
    this.#context ??= newContext();
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
    const samples = new Float32Array(this.#analyser.fftSize);
    const tick = () => {
      this.#analyser.getFloatTimeDomainData(samples);
      this.#draw(track.enabled ? levelOf(samples) : 0);
      this.#frame = requestAnimationFrame(tick);
    };
    tick();
  }

  /** Lets the audio hardware go. */
  close() {
    this.show(null);
    this.#context?.close();
    this.#context = null;
    this.#analyser = null;
  }

  #draw(level) {
    this.#bar.style.clipPath = `inset(0 ${(100 - level * 100).toFixed(1)}% 0 0)`;
    const spoken = Math.round(level * 10) * 10;
    if (spoken === this.#spoken) return;
    this.#spoken = spoken;
    this.#element.setAttribute('aria-valuenow', String(spoken));
  }
}

// Browsers start audio only after a gesture; the first one wakes the meter.
function newContext() {
  const context = new AudioContext();
  const wake = () => {
    if (context.state === 'suspended') context.resume();
  };
  addEventListener('pointerdown', wake, { once: true });
  addEventListener('keydown', wake, { once: true });
  return context;
}
