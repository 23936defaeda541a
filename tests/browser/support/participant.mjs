// A person at the web client: what one does there and what one sees.

import assert from 'node:assert/strict';

import { colourOf } from './colour.mjs';
import { eventually } from './eventually.mjs';

const SLATE_DISC = 0.17; // of the tile's height above its middle: between the initials and the disc's edge
const JOIN_MS = 20_000; // a browser that starts on a busy machine

export class Participant {
  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.errors = [];
    page.on('pageerror', (error) => this.errors.push(error.message));
  }

  /** Goes to the join page, gives a name, joins, and waits until media flows. */
  async join(server, room) {
    await this.page.goto(`${server.origin}/r/${room}`);
    await this.page.waitForSelector('#name');
    await this.page.type('#name', this.name);
    await this.page.click('#join-button');
    await this.live();
  }

  async watch(server, room) {
    await this.page.goto(`${server.origin}/watch/${room}`);
    await this.live();
  }

  async live() {
    await this.state('live', JOIN_MS);
  }

  /** Waits until the page is in this state of the call. */
  async state(state, ms = 15_000) {
    const read = () => this.page.$eval('#call', (element) => element.dataset.state);
    await eventually(`${this.name} is ${state}`, async () => (await read()) === state, ms);
  }

  async press(key) {
    await this.page.keyboard.press(key);
  }

  /** The participants as listed on the page: `[{id, name, state, muted}]`. */
  people() {
    return this.page.$$eval('#participants .person', (rows) =>
      rows.map((row) => ({
        id: row.dataset.id,
        name: row.querySelector('.person-name').textContent,
        state: row.querySelector('.person-state').textContent,
        muted: row.dataset.muted === 'true',
      })),
    );
  }

  /** Waits until the row of this person satisfies `check`, and returns it. */
  personWhere(name, what, check) {
    return eventually(`${this.name} sees ${name} ${what}`, async () => {
      const row = (await this.people()).find((one) => one.name === name);
      return row && check(row) ? row : null;
    });
  }

  /** The names in the list, without the mark on one's own. */
  async names() {
    return (await this.people()).map(({ name }) => name.replace(' (you)', '')).sort();
  }

  /**
   * The RGB of the mix at a point, as shown on this page: the mean of a small square. `x` and `y` are parts of the
   * canvas, 0 to 1. Null as long as there is no picture.
   */
  pixel(x, y) {
    return this.page.$eval(
      '#mix',
      (video, x, y) => {
        if (video.readyState < video.HAVE_CURRENT_DATA || video.videoWidth === 0) return null;
        const side = 8;
        const canvas = new OffscreenCanvas(side, side);
        const context = canvas.getContext('2d', { willReadFrequently: true });
        const left = Math.min(video.videoWidth - side, Math.round(x * video.videoWidth));
        const top = Math.min(video.videoHeight - side, Math.round(y * video.videoHeight));
        context.drawImage(video, left, top, side, side, 0, 0, side, side);
        const { data } = context.getImageData(0, 0, side, side);
        const mean = (channel) => {
          let sum = 0;
          for (let at = channel; at < data.length; at += 4) sum += data[at];
          return Math.round(sum / (side * side));
        };
        return [mean(0), mean(1), mean(2)];
      },
      x,
      y,
    );
  }

  /** The RGB in the middle of somebody's tile, or so many pixels of the canvas above it; null if there is none. */
  async tilePixel(server, room, name, above = 0) {
    const { canvas, participants } = await server.room(room);
    const tile = participants.find((one) => one.name === name)?.tile;
    if (!tile) return null;
    return this.pixel((tile.x + tile.width / 2) / canvas.width, (tile.y + tile.height / 2 - above) / canvas.height);
  }

  /** Waits until the middle of somebody's tile has this colour on this page. */
  async seesColour(server, room, name, colour, ms = 15_000) {
    await eventually(
      `${this.name} sees ${name} in ${colour}`,
      async () => {
        const rgb = await this.tilePixel(server, room, name);
        if (rgb && colourOf(rgb) === colour) return true;
        throw new Error(`the tile's middle is ${rgb}`);
      },
      ms,
    );
  }

  /** Waits until somebody's tile is a slate: above the initials, the disc in the colour of the list's avatar. */
  async seesSlate(server, room, name, ms = 15_000) {
    const { id } = await this.personWhere(name, 'in the list', () => true);
    const avatar = await this.page.$eval(`.person[data-id="${id}"] .avatar`, (one) => getComputedStyle(one).backgroundColor);
    const colour = avatar.match(/\d+/g).map(Number);
    const { participants } = await server.room(room);
    const above = participants.find((one) => one.id === id).tile.height * SLATE_DISC;
    await eventually(
      `${this.name} sees ${name}'s slate`,
      async () => {
        const rgb = await this.tilePixel(server, room, name, above);
        if (rgb && Math.hypot(...rgb.map((value, channel) => value - colour[channel])) < 40) return true;
        throw new Error(`the disc is ${rgb}, the avatar ${colour}`);
      },
      ms,
    );
  }

  /** The size of the mix that is shown, as `WIDTHxHEIGHT`. */
  size() {
    return this.page.$eval('#mix', ({ videoWidth, videoHeight }) => `${videoWidth}x${videoHeight}`);
  }

  /** Waits until somebody's tile was seen in two clearly different colours: Firefox's fake camera, alive. */
  async seesChange(server, room, name, ms = 20_000) {
    let first = null;
    await eventually(
      `${this.name} sees ${name}'s picture change`,
      async () => {
        const rgb = await this.tilePixel(server, room, name);
        if (!rgb) return false;
        first ??= rgb;
        return Math.hypot(...rgb.map((value, channel) => value - first[channel])) > 40;
      },
      ms,
    );
  }

  /** Waits until so many frames of the mix were shown from now on. */
  async seesFrames(count = 30, ms = 10_000) {
    await this.page.$eval('#mix', (video) => {
      window.framesSeen = 0;
      const next = () => {
        window.framesSeen += 1;
        video.requestVideoFrameCallback(next);
      };
      video.requestVideoFrameCallback(next);
    });
    await eventually(`${this.name} sees ${count} frames`, () => this.page.evaluate((count) => window.framesSeen >= count, count), ms);
  }

  /** Fails if a script of the page failed. */
  assertNoErrors() {
    assert.deepEqual(this.errors, [], `${this.name}'s page`);
  }
}

/** People whose browsers start side by side, of `[name, promise of the page]` each. */
export function startTogether(...people) {
  return Promise.all(people.map(async ([name, page]) => new Participant(await page, name)));
}
