// The token that the server may ask for (RFC 6750). It comes in a link's fragment (`#token=…`), which browsers send to
// nobody, or is typed, and stays with the tab. Nothing here puts it into an address that is shown or given away.

const KEY = 'tessera-token';
const DEADLINE_MS = 5000;
const FORM = /^[A-Za-z0-9._~+/-]+=*$/; // b64token, section 2.1; nothing else can be one

let token; // undefined until it was looked for

/** The server answered that it wants a token, or another one. */
export class TokenNeeded extends Error {}

/** The token, or an empty text. The first call takes it out of the page's address. */
export function currentToken() {
  token ??= takeFromAddress() ?? remembered();
  return token;
}

/** Whether the server takes this token; it is kept if so. Throws where the server does not answer. */
export async function tryToken(candidate) {
  if (!FORM.test(candidate) || !(await accepts(candidate))) return false;
  keep(candidate);
  return true;
}

/** Whether the server refuses us for want of the right token. A server that does not answer has refused nothing. */
export async function isTokenNeeded() {
  try {
    return !(await accepts(currentToken()));
  } catch {
    return false;
  }
}

/** `fetch` from our server, with the token and a deadline. Throws {@link TokenNeeded} where the server wants another one. */
export async function fetchWithToken(path, options = {}) {
  const answer = await ask(path, currentToken(), options);
  if (answer.status === 401) throw new TokenNeeded('the server asks for a token');
  return answer;
}

async function accepts(candidate) {
  return (await ask('/api/rooms', candidate, { method: 'HEAD' })).status !== 401;
}

function ask(path, bearer, options) {
  const headers = bearer ? { authorization: `Bearer ${bearer}` } : {};
  return fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(DEADLINE_MS), headers, ...options });
}

// Not by URLSearchParams, to which a token's plus is a space.
function takeFromAddress() {
  const found = location.hash.match(/^#(?:.*&)?token=([^&]*)/);
  if (!found) return null;
  history.replaceState(history.state, '', location.pathname + location.search);
  const taken = decoded(found[1]);
  if (!FORM.test(taken)) return null;
  keep(taken);
  return taken;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function keep(value) {
  token = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // The next page asks again.
  }
}

function remembered() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}
