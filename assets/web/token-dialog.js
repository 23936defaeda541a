// Asking for the server's token.

import { h, setText } from './dom.js';
import { isTokenNeeded, tryToken } from './token.js';

let asking = null;

/** Asks where the server wants a token that is not there. Resolves once that is settled. */
export async function settleToken() {
  if (await isTokenNeeded()) await askForToken();
}

/** Asks until the server takes the token, or until the person does not want to. Resolves to whether it has one now. */
export function askForToken() {
  asking ??= new Promise(open).finally(() => (asking = null));
  return asking;
}

function open(resolve) {
  let accepted = false;
  const before = document.activeElement;
  const input = h('input', {
    id: 'token',
    type: 'password', // for those who show their screen
    required: true,
    autocomplete: 'off',
    'aria-describedby': 'token-problem',
  });
  const problem = h('p', { class: 'token-problem small', id: 'token-problem', role: 'alert' });
  const submit = h('button', { class: 'primary', type: 'submit' }, 'Continue');
  const form = h(
    'form',
    {},
    h('h2', { id: 'token-title' }, 'This server asks for a token'),
    h('p', { class: 'soft', id: 'token-text' }, 'It lets in only those who have it. Ask whoever invited you.'),
    h('label', {}, 'Token', input),
    problem,
    h('div', { class: 'token-actions' }, h('button', { type: 'button', onclick: () => dialog.close() }, 'Not now'), submit),
  );
  const dialog = h(
    'dialog',
    { class: 'card token-dialog', 'aria-labelledby': 'token-title', 'aria-describedby': 'token-text' },
    form,
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    setText(problem, ''); // The same news is news again.
    const complaint = await complaintAbout(input.value.trim());
    if (complaint === null) {
      accepted = true;
      dialog.close();
      return;
    }
    submit.disabled = false;
    setText(problem, complaint);
    input.select();
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    // The browser gives the focus back by itself, but Chromium then drops what is typed there.
    before.blur();
    before.focus();
    resolve(accepted);
  });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
}

/** What is wrong with a token, in words, or null. */
async function complaintAbout(token) {
  try {
    return (await tryToken(token)) ? null : 'The server does not take this token.';
  } catch {
    return 'The server does not answer. Try again in a moment.';
  }
}
