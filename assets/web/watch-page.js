// Watching a room without being in it.

import { Call } from './call.js';
import { CallView } from './call-view.js';
import { byId, setIcon, setText } from './dom.js';
import { ParticipantList } from './participant-list.js';
import { linksOf, roomOfPage } from './rooms.js';
import { loadSettings } from './settings.js';
import { listenForShortcuts } from './shortcuts.js';

const room = roomOfPage();
const links = linksOf(room);
const { rendition } = loadSettings();

document.title = `${room} · Tessera`;
byId('join-link').href = links.join;

const call = new Call({ room, rendition });
// Silent at first: browsers play pictures by themselves, sounds only after a gesture.
const view = new CallView(call, { room, list: new ParticipantList(), link: links.watch, sends: false, rendition, muted: true });

view.player.addEventListener('sound', () => {
  const on = view.player.audible;
  setIcon(byId('sound'), on ? 'sound' : 'sound-off');
  setText(byId('sound').querySelector('span'), on ? 'Sound off' : 'Sound on');
});
byId('sound').addEventListener('click', () => (view.player.audible ? view.player.mute() : view.player.unmute()));

listenForShortcuts();
call.start();
