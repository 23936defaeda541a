// The WebSocket to the server. `src/protocol.rs` is the specification of its messages.

import { currentToken } from './token.js';

const OPEN_DEADLINE_MS = 8000;

/**
 * One WebSocket connection. Events: `message` (detail is the server's message), and exactly one `lost` (detail is a
 * text) when the line ends without `close()` having been called. Pings by itself once the welcome said how often.
 */
export class Signalling extends EventTarget {
  #socket;
  #pingTimer;
  #openTimer;
  #unanswered = 0;
  #ended = false;

  constructor(room, name) {
    super();
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const url = new URL(`${scheme}://${location.host}/ws/${encodeURIComponent(room)}`);
    if (name !== undefined) url.searchParams.set('name', name);
    // The only place for it: a browser gives a WebSocket no header.
    if (currentToken()) url.searchParams.set('access_token', currentToken());
    this.#socket = new WebSocket(url);
    this.#socket.onmessage = (event) => this.#receive(event.data);
    this.#socket.onclose = () => this.#lose('the line to the server was closed');
    this.#openTimer = setTimeout(() => this.#lose('the server does not answer'), OPEN_DEADLINE_MS);
  }

  /** Sends a message; a line that is not open drops it, as its loss is announced anyway. */
  send(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  /** Ends the line without a `lost` event. */
  close() {
    this.#end();
  }

  #receive(text) {
    let message;
    try {
      message = JSON.parse(text);
    } catch {
      return; // Not of our protocol; the server's own checks are the place to find out why.
    }
    if (this.#ended) return;
    if (message.type === 'welcome') this.#startPings(message.pingInterval);
    if (message.type === 'pong') this.#unanswered = 0;
    else this.dispatchEvent(new CustomEvent('message', { detail: message }));
  }

  // Counted in pings, not in time: after the machine slept, the first tick must not take the gap for a dead line.
  #startPings(interval) {
    clearTimeout(this.#openTimer);
    this.#pingTimer = setInterval(() => {
      if (this.#unanswered >= 2) {
        this.#lose('the server does not answer any more');
        return;
      }
      this.#unanswered += 1;
      this.send({ type: 'ping' });
    }, interval);
  }

  #lose(why) {
    if (this.#ended) return;
    this.#end();
    this.dispatchEvent(new CustomEvent('lost', { detail: why }));
  }

  #end() {
    this.#ended = true;
    clearInterval(this.#pingTimer);
    clearTimeout(this.#openTimer);
    this.#socket.onmessage = null;
    this.#socket.onclose = null;
    this.#socket.close();
  }
}
