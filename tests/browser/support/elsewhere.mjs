// A page of another site, with scripts that know nothing of Tessera but WHIP and WHEP.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

import { testHost } from './server.mjs';

const PAGE = '<!doctype html><title>Elsewhere</title><body>Elsewhere</body><script type="module" src="/main.mjs"></script>';

/** Serves a page whose script is `main`, and the `modules` that it imports (`{ name: URL of the file }`); its URL. */
export async function elsewhere(t, main, modules) {
  const files = new Map(Object.entries({ 'main.mjs': main, ...modules }).map(([name, file]) => [`/${name}`, file]));
  const site = createServer(async (request, response) => {
    const file = files.get(request.url);
    if (file) response.writeHead(200, { 'content-type': 'text/javascript' }).end(await readFile(file));
    else response.writeHead(200, { 'content-type': 'text/html' }).end(PAGE);
  });
  site.listen(0, testHost());
  await once(site, 'listening');
  t.after(() => site.close());
  return `http://${testHost()}:${site.address().port}/`;
}
