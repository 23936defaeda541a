// The lobby: pick a live room or make one.

import { copyText } from './copy.js';
import { byId, h, icon, setText } from './dom.js';
import { liveRooms, pictureOf } from './live-rooms.js';
import { countOf, linksOf, newRoomName } from './rooms.js';
import { toast } from './toast.js';
import { TokenNeeded } from './token.js';
import { askForToken } from './token-dialog.js';

const LIST_EVERY_MS = 4000;
const PICTURE_EVERY_MS = 12000;

const cards = new Map(); // room name → {element, update}
let asked = false; // for the server's token

byId('room').value = newRoomName();
byId('room').select();
byId('enter').addEventListener('submit', (event) => {
  event.preventDefault();
  location.assign(linksOf(byId('room').value.trim()).join);
});

async function refresh() {
  try {
    show(await liveRooms());
    byId('away').hidden = true;
    byId('closed').hidden = true;
  } catch (error) {
    const closed = error instanceof TokenNeeded;
    byId('away').hidden = closed || cards.size > 0;
    byId('closed').hidden = !closed;
    byId('empty').hidden = true;
    if (closed && !asked) enterToken();
  }
}

// Asked once by itself: whoever does not want to is left in peace until they press the button.
async function enterToken() {
  asked = true;
  if (await askForToken()) refresh();
}

// Cards stay in place while their room lives, so that nobody's focus or click is lost to a refresh.
function show(rooms) {
  const ids = new Set(rooms.map(({ id }) => id));
  for (const [id, card] of cards) {
    if (ids.has(id)) continue;
    card.element.remove();
    cards.delete(id);
  }
  for (const room of rooms) {
    if (!cards.has(room.id)) {
      const card = makeCard(room.id);
      cards.set(room.id, card);
      byId('rooms').append(card.element);
    }
    cards.get(room.id).update(room);
  }
  byId('empty').hidden = rooms.length > 0;
  setText(byId('live-count'), rooms.length > 0 ? countOf(rooms.length, 'room', 'rooms') : '');
}

function makeCard(id) {
  const links = linksOf(id);
  const picture = h('img', { class: 'room-picture', alt: '', width: 320, height: 180 });
  const people = h('p', { class: 'soft small' });
  const copy = async () => toast((await copyText(links.watch)) ? 'Watch link copied' : links.watch);
  const element = h(
    'li',
    { class: 'card room-card' },
    picture,
    h('div', { class: 'room-text' }, h('h3', { title: id }, id), people),
    h(
      'div',
      { class: 'room-actions' },
      h('a', { class: 'button slim primary', href: links.join, 'aria-label': `Join ${id}` }, 'Join'),
      h('a', { class: 'button slim', href: links.watch, 'aria-label': `Watch ${id}` }, icon('eye'), 'Watch'),
      h(
        'button',
        { class: 'slim', type: 'button', title: 'Copy the watch link', 'aria-label': `Copy the watch link of ${id}`, onclick: copy },
        icon('copy'),
      ),
    ),
  );
  let shownAt = 0;
  const update = ({ participants, viewers }) => {
    const watching = viewers.length > 0 ? ` · ${viewers.length} watching` : '';
    setText(people, countOf(participants.length, 'person', 'people') + watching);
    if (Date.now() - shownAt < PICTURE_EVERY_MS) return;
    shownAt = Date.now();
    showPicture(picture, id);
  };
  return { element, update };
}

// The old picture stays until the new one is there, and where there is none.
async function showPicture(image, room) {
  const before = image.src;
  try {
    image.src = URL.createObjectURL(await pictureOf(room));
    if (before) URL.revokeObjectURL(before);
  } catch {
    // The list says whether the server is there.
  }
}

byId('enter-token').addEventListener('click', enterToken);
refresh();
setInterval(() => document.visibilityState === 'visible' && refresh(), LIST_EVERY_MS);
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && refresh());
