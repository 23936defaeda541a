// Joining a room and being in it.

import { Call } from './call.js';
import { CallView } from './call-view.js';
import { bindAdvice, bindDeviceSelect } from './device-controls.js';
import { Devices } from './devices.js';
import { byId, setIcon, setText } from './dom.js';
import { pictureHelp } from './help.js';
import { Meter } from './meter.js';
import { MuteState } from './mute-state.js';
import { ParticipantList } from './participant-list.js';
import { linksOf, roomOfPage } from './rooms.js';
import { loadSettings, saveSettings } from './settings.js';
import { listenForShortcuts } from './shortcuts.js';
import { toast } from './toast.js';
import { settleToken } from './token-dialog.js';

const room = roomOfPage();
const settings = loadSettings();
const devices = new Devices(settings);
const meter = new Meter(byId('meter'));
const mute = new MuteState(!settings.microphoneOn);
let cameraOn = settings.cameraOn;
let call = null; // set by joining

// Switches: the same on the join page and in the room.

async function switchMicrophone(on) {
  if (on && !devices.track('microphone')) await devices.open(['microphone']);
  mute.wish(!on);
  saveSettings({ microphoneOn: on });
  call?.mute(null, !on);
  update();
}

async function switchCamera(on) {
  cameraOn = on;
  saveSettings({ cameraOn: on });
  update();
  await (on ? devices.open(['camera']) : devices.close('camera'));
}

function chooseDevice(kind, id) {
  saveSettings({ [kind]: id });
  devices.choose(kind, id);
}

const microphoneIsOn = () => Boolean(devices.track('microphone')) && !mute.muted;
const cameraIsOn = () => Boolean(devices.track('camera'));

// One place that brings everything in step with the devices and the switches.
function update() {
  const [microphone, camera] = [devices.track('microphone'), devices.track('camera')];
  if (microphone) microphone.enabled = !mute.muted;
  call?.setTrack('audio', microphone)?.catch(report);
  call?.setTrack('video', camera)?.catch(report);
  showPreview(microphone, camera);
  showSwitch(byId('microphone'), microphoneIsOn(), 'mic', { on: 'Mute', off: 'Unmute', key: 'M' });
  showSwitch(byId('camera'), cameraIsOn(), 'camera', { on: 'Stop camera', off: 'Start camera', key: 'V' });
  showSwitch(byId('preview-microphone'), microphoneIsOn(), 'mic', { key: 'M' });
  showSwitch(byId('preview-camera'), cameraIsOn(), 'camera', { key: 'V' });
}

function report(error) {
  toast(`The device could not be changed: ${error.message}`);
}

function showSwitch(button, on, name, { on: onText, off: offText, key }) {
  button.classList.toggle('off', !on);
  setIcon(button, on ? name : `${name}-off`);
  const text = button.querySelector('span');
  if (text) setText(text, on ? onText : offText);
  else button.setAttribute('aria-pressed', String(on));
  const noun = name === 'mic' ? 'microphone' : 'camera';
  button.title = `Switch the ${noun} ${on ? 'off' : 'on'} (${key})`;
}

function showPreview(microphone, camera) {
  const preview = byId('preview');
  const joining = call === null;
  if (preview.srcObject?.getVideoTracks()[0] !== (joining ? camera ?? undefined : undefined)) {
    preview.srcObject = joining && camera ? new MediaStream([camera]) : null;
  }
  preview.classList.toggle('mirrored', camera?.getSettings().facingMode !== 'environment');
  byId('preview-off').hidden = camera !== null;
  if (joining) meter.show(microphone);
}

// Joining

function prepare() {
  document.title = `${room} · Tessera`;
  setText(byId('join-room'), room);
  byId('name').value = settings.name;
  if (!settings.name) byId('name').focus();
  byId('watch-link').href = linksOf(room).watch;
  for (const kind of ['microphone', 'camera']) {
    for (const place of ['join', 'call']) {
      bindDeviceSelect(byId(`${place}-${kind}`), devices, kind, (id) => chooseDevice(kind, id));
    }
  }
  for (const place of ['join', 'call']) bindAdvice(byId(`${place}-advice`), devices, (kinds) => devices.open(kinds));
  devices.addEventListener('change', update);
  devices.addEventListener('lost', ({ detail }) => lost(detail));
  for (const place of ['', 'preview-']) {
    byId(`${place}microphone`).addEventListener('click', () => switchMicrophone(!microphoneIsOn()));
    byId(`${place}camera`).addEventListener('click', () => switchCamera(!cameraIsOn()));
  }
  byId('join-form').addEventListener('submit', (event) => {
    event.preventDefault();
    join(byId('name').value.trim());
  });
  listenForShortcuts();
  update();
  // The microphone also when it is muted: it then speaks at once when it is wanted.
  devices.open(cameraOn ? ['microphone', 'camera'] : ['microphone']);
}

function join(name) {
  saveSettings({ name });
  call = new Call({ room, name, devices, rendition: settings.rendition });
  const list = new ParticipantList((id, muted) => (id === call.id ? switchMicrophone(!muted) : call.mute(id, muted)));
  new CallView(call, { room, list, link: linksOf(room).join, sends: true, rendition: settings.rendition });
  call.addEventListener('message', ({ detail }) => follow(detail));
  call.addEventListener('state', ({ detail }) => detail.state === 'over' && release());
  byId('leave').addEventListener('click', () => call.leave());
  byId('rejoin').addEventListener('click', comeBack);
  screen.orientation?.addEventListener('change', () => call.adapt());
  byId('join').hidden = true;
  meter.close();
  update();
  call.start();
}

// In the room

function follow(message) {
  switch (message.type) {
    case 'answer':
      if (mute.reconnect()) call.mute(null, true);
      break;
    case 'tile':
      call.adapt(message);
      break;
    case 'picture_refused':
      toast(pictureHelp(message));
      break;
    case 'picture_accepted':
      toast('Your picture is shown again');
      break;
    case 'participants': {
      const own = message.participants.find(({ id }) => id === call.id);
      if (own) followMute(own.muted);
      break;
    }
  }
}

function followMute(muted) {
  switch (mute.told(muted)) {
    case 'muted':
      toast('You were muted by somebody in the room. Press M to speak.');
      saveSettings({ microphoneOn: false });
      update();
      break;
    case 'asked':
      toast('Somebody asks you to speak. Press M to switch your microphone on.');
      call.mute(null, true);
      break;
  }
}

async function lost(kind) {
  toast(`The ${kind} is gone`);
  if (kind === 'camera') cameraOn = false;
  else await devices.open(['microphone']); // Another one, if there is one.
}

// Nothing records while nobody is in a room.
function release() {
  devices.close('camera');
  devices.close('microphone');
}

function comeBack() {
  devices.open(cameraOn ? ['microphone', 'camera'] : ['microphone']);
}

prepare();
settleToken();
