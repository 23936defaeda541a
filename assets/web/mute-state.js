// One microphone, two switches: ours and the server's. This keeps them together. Pure.

/**
 * Muting oneself is told to the server, so that the others see it; others may mute us at the server. While our own
 * wish is on its way, older news from the server must not undo it.
 */
export class MuteState {
  #pending = false;

  constructor(muted) {
    this.muted = muted;
  }

  /** We switched. */
  wish(muted) {
    this.muted = muted;
    this.#pending = true;
  }

  /** A new connection begins: the server knows nothing of us. Returns whether it has to be told. */
  reconnect() {
    this.#pending = this.muted;
    return this.muted;
  }

  /**
   * The server says how it holds us. Returns what follows: `none`; `muted`, somebody muted us; or `asked`, somebody
   * switched us on: nobody opens our microphone but ourselves, so it stays closed and the server is to be told again.
   */
  told(muted) {
    if (this.#pending) {
      if (muted === this.muted) this.#pending = false;
      return 'none';
    }
    if (muted === this.muted) return 'none';
    if (muted) {
      this.muted = true;
      return 'muted';
    }
    this.#pending = true;
    return 'asked';
  }
}
