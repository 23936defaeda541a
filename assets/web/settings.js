// What the browser remembers between visits: name, devices, choices. A browser that keeps nothing (private windows,
// blocked storage) behaves like a first visit.

const KEY = 'tessera';

const DEFAULTS = {
  name: '',
  microphone: '', // device id, empty for the browser's default
  camera: '',
  microphoneOn: true,
  cameraOn: true,
  rendition: 'auto',
};

/** The remembered settings over the defaults. */
export function loadSettings() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
  } catch {
    return { ...DEFAULTS };
  }
}

/** Remembers these keys; others stay as they are. */
export function saveSettings(changes) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...loadSettings(), ...changes }));
  } catch {
    // Storage is a comfort; nothing depends on it.
  }
}
