// A second visit asks the server for the page alone, and is told that it has it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { chromium, firefox } from './support/browser.mjs';
import { eventually } from './support/eventually.mjs';
import { Server } from './support/server.mjs';

const PAGES = ['/', '/r/studio', '/watch/studio'];

// The requests for the web client that reached the server since the last call, as `status path`, by its own log. It logs
// them in their order: where the last one is, there are all.
async function requests(server) {
  await fetch(`${server.origin}/last`);
  await eventually('the last request is logged', () => server.log.includes('path="/last"'));
  const seen = [...server.takeLog().matchAll(/method=GET path="([^"]+)" status=(\d+)/g)];
  return seen.map(([, path, status]) => `${status} ${path}`).filter((line) => !/ \/(api|ws|last|readyz)\b/.test(line));
}

for (const [name, browser] of Object.entries({ chromium, firefox })) {
  test(`${name} comes back with one question`, { timeout: 120_000 }, async (t) => {
    const server = await Server.forTest(t, { log: 'info,tessera::server=debug' });
    const page = await browser(t, server);
    const visit = async (path) => {
      await page.goto('about:blank');
      await requests(server);
      await page.goto(`${server.origin}${path}`, { waitUntil: 'networkidle0' });
      return requests(server);
    };
    const files = [];
    for (const path of PAGES) {
      const [first, ...others] = await visit(path);
      assert.equal(first, `200 ${path}`);
      files.push(...others);
      assert.deepEqual(await visit(path), [`304 ${path}`]);
    }
    assert.ok(files.length > 20, 'the pages are made of many files');
    assert.ok(files.every((line) => /^200 \/assets\/[0-9a-f]{16}\//.test(line)), files.join(', '));
    assert.equal(new Set(files).size, files.length, 'what one page has brought the next has');
  });
}
