// The choice of devices and the advice about them, on the join page and in the room.

import { h, icon } from './dom.js';
import { deviceHelp } from './help.js';

const FIREFOX = /firefox/i.test(navigator.userAgent);

/** Keeps a `<select>` in step with the devices of one kind; a choice goes to `onChoose(id)`. */
export function bindDeviceSelect(select, devices, kind, onChoose) {
  const update = () => {
    const list = devices.lists[kind];
    const used = devices.track(kind)?.getSettings().deviceId;
    const options = list.map(({ id, label }) => h('option', { value: id, selected: id === used }, label));
    if (options.length === 0) options.push(h('option', { value: '' }, 'Not available'));
    select.disabled = list.length === 0;
    // Rebuilding an open list would close it under somebody's hand.
    const key = JSON.stringify([list, used]);
    if (select.dataset.key === key) return;
    select.dataset.key = key;
    select.replaceChildren(...options);
  };
  devices.addEventListener('change', update);
  select.addEventListener('change', () => onChoose(select.value));
  update();
}

/** Shows in `container` what to do about devices that do not work, each with a button to try again. */
export function bindAdvice(container, devices, onRetry) {
  let shown = '';
  const update = () => {
    const kinds = Object.keys(devices.problems).filter((kind) => devices.problems[kind] !== null);
    const key = kinds.map((kind) => kind + devices.problems[kind]).join();
    if (key === shown) return; // Read out once.
    shown = key;
    container.replaceChildren(...adviceFor(kinds, devices.problems, onRetry));
  };
  devices.addEventListener('change', update);
  update();
}

function adviceFor(kinds, problems, onRetry) {
  // One reason for both, one text.
  if (kinds.length === 2 && problems.microphone === problems.camera) {
    return [advice(problems.camera, kinds, onRetry)];
  }
  return kinds.map((kind) => advice(problems[kind], [kind], onRetry));
}

function advice(problem, kinds, onRetry) {
  const address = `http://localhost:${location.port || 80}${location.pathname}`;
  const { title, text } = deviceHelp(problem, kinds, { firefox: FIREFOX, address });
  const retry = problem === 'insecure' ? null : h('button', { class: 'slim', type: 'button', onclick: () => onRetry(kinds) }, 'Try again');
  return h('div', { class: 'advice', 'data-problem': problem }, icon('warning'), h('div', {}, h('strong', {}, title), text, h('div', {}, retry)));
}
