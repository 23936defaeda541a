// A real `tessera serve` on a free port of its own.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { fileURLToPath } from 'node:url';

import { eventually } from './eventually.mjs';

const BINARY = process.env.TESSERA_BIN ?? fileURLToPath(new URL('../../../target/release/tessera', import.meta.url));
const STOP_MS = 6000; // a graceful stop takes at most 5 s
const BOTS_MS = 20_000;
const LOG_LINES = 200;

/** The address that servers of the tests listen on. */
export function testHost() {
  if (process.env.TESSERA_TEST_HOST) return process.env.TESSERA_TEST_HOST;
  const addresses = Object.values(networkInterfaces()).flat();
  const found = addresses.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (!found) throw new Error('no non-loopback IPv4 address; give one in TESSERA_TEST_HOST');
  return found.address;
}

/** It makes keys before it is ready, which takes a busy machine a while. */
const READY_MS = 30_000;

export class Server {
  #host;
  #port;
  #token;
  #filter;
  #child = null;
  #log = [];

  constructor(host, port, { token, log }) {
    this.#host = host;
    this.#port = port;
    this.#token = token;
    this.#filter = log;
  }

  /**
   * Starts a server, one that asks for `token` if there is one and logs what the filter `log` lets through, and has it
   * stopped when the test `t` is over.
   */
  static async forTest(t, { token = '', log = 'info' } = {}) {
    if (!existsSync(BINARY)) throw new Error(`there is no server at ${BINARY}; give its path in TESSERA_BIN`);
    const host = testHost();
    const server = new Server(host, await freePort(host), { token, log });
    t.after(() => server.stop());
    await server.start();
    return server;
  }

  get origin() {
    return `http://${this.#host}:${this.#port}`;
  }

  async start() {
    const child = spawn(BINARY, ['serve', '--listen', `${this.#host}:${this.#port}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NO_COLOR: '1', TESSERA_SERVER_TOKEN: this.#token, TESSERA_SERVER_LOG: this.#filter },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => this.#note(text));
    await eventually('the server is ready', async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}: ${this.log}`);
      return (await fetch(`${this.origin}/readyz`, { signal: AbortSignal.timeout(1000) })).ok;
    }, READY_MS);
  }

  /** The end of what it logged. */
  get log() {
    return this.#log.join('');
  }

  /** The same, which is then forgotten. */
  takeLog() {
    return this.#log.splice(0).join('');
  }

  /** Ends it without goodbye, as a crash does. */
  async crash() {
    await this.#end('SIGKILL');
  }

  async stop() {
    await this.#end('SIGTERM');
  }

  /** Lets so many bots join the room, who stay until the function that is returned is called. */
  async bots(t, room, count) {
    const bots = spawn(BINARY, ['bots', '--server', this.origin, '--room', room, '--count', `${count}`, '--speech', 'never', '--decode', '0', '--size', '320x180', '--fps', '10'], {
      stdio: 'ignore',
      env: { ...process.env, TESSERA_BOTS_TOKEN: this.#token },
    });
    const exit = once(bots, 'exit');
    const stop = async () => {
      bots.kill('SIGTERM');
      await exit;
    };
    t.after(stop);
    await eventually('the bots are in', async () => {
      if (bots.exitCode !== null) throw new Error(`they ended with ${bots.exitCode}`);
      const { participants } = await this.room(room);
      return participants.filter(({ name }) => name.startsWith('Bot ')).length === count;
    }, BOTS_MS);
    return stop;
  }

  /** The room as `GET /api/rooms/{room}` shows it. */
  async room(room) {
    const headers = this.#token ? { authorization: `Bearer ${this.#token}` } : {};
    const answer = await fetch(`${this.origin}/api/rooms/${room}`, { headers, signal: AbortSignal.timeout(5000) });
    if (!answer.ok) throw new Error(`/api/rooms/${room}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  #note(text) {
    this.#log.push(text);
    this.#log.splice(0, this.#log.length - LOG_LINES);
  }

  async #end(signal) {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, 'exit');
    child.kill(signal);
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    await exit;
    clearTimeout(late);
  }
}

async function freePort(host) {
  const probe = createServer().listen(0, host);
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}
