// What to tell people when a camera or a microphone does not work, and when the server says no. Pure.

/**
 * Why there is no camera or microphone, from a `getUserMedia` error (or `null` where the browser has no
 * `mediaDevices`): `insecure`, `refused`, `system`, `busy`, `missing` or `unknown`.
 */
export function deviceProblem(error) {
  if (error === null) return 'insecure';
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return /system/i.test(error.message) ? 'system' : 'refused';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    default:
      return 'unknown';
  }
}

/**
 * A title and what to do about a {@link deviceProblem} of `kinds` (of `camera` and `microphone`). `address` is where
 * the page is secure on the server's own computer.
 */
export function deviceHelp(problem, kinds, { firefox = false, address = '' } = {}) {
  const both = kinds.length > 1;
  const nouns = both ? 'camera and microphone' : kinds[0];
  const [is, it] = both ? ['are', 'them'] : ['is', 'it'];
  const does = both ? 'do' : 'does';
  const without = 'You can join all the same.';
  switch (problem) {
    case 'insecure':
      return {
        title: `No ${nouns}: this page is not on a secure address`,
        text:
          `Browsers hand out cameras and microphones only over https:// or on the computer itself. Open this page with ` +
          `https://, or on the server’s own computer with ${address}. ${without}`,
      };
    case 'refused':
      return {
        title: `The ${nouns} ${is} blocked for this page`,
        text: firefox
          ? `Click the crossed-out symbol beside the address, remove the block, then try again. ${without}`
          : `Click the symbol at the left of the address, allow the ${nouns}, then try again. ${without}`,
      };
    case 'system':
      return {
        title: `The system keeps the ${nouns} from the browser`,
        text: `Allow the browser to use ${it} in the system’s privacy settings, then try again. ${without}`,
      };
    case 'busy':
      return {
        title: `The ${nouns} ${is} in use elsewhere`,
        text: `Close the other program or tab that uses ${it}, or choose another device, then try again. ${without}`,
      };
    case 'missing':
      return {
        title: `No ${nouns} found`,
        text: `Plug ${it} in or switch ${it} on, then try again. ${without}`,
      };
    default:
      return {
        title: `The ${nouns} ${does} not start`,
        text: `Unplug ${it} and plug ${it} in again, or choose another device, then try again. ${without}`,
      };
  }
}

/** Why a call is over or waits: a title and a text for people. `why` is a close reason of the server or a plain text. */
export function callHelp(why, problem) {
  if (problem?.kind === 'nothing-live') {
    return { title: 'Nothing is live here yet', text: 'The picture starts by itself as soon as somebody joins the room.' };
  }
  if (problem) return { title: problem.title, text: problem.detail };
  switch (why) {
    case 'left':
      return { title: 'You left the room', text: 'The others go on without you. You can come back at any time.' };
    case 'removed':
      return { title: 'You were removed from the room', text: 'Somebody with access to the room put you out.' };
    case 'unauthorized':
      return { title: 'This server asks for a token', text: 'It lets in only those who have it. Ask whoever invited you.' };
    case 'room_ended':
      return { title: 'The room has ended', text: 'Its last participant has left.' };
    case 'server_stopping':
      return { title: 'The server is restarting', text: 'You will be back as soon as it is up.' };
    case 'not_connected':
      return { title: 'No picture and sound could be sent or received', text: 'Perhaps a firewall keeps UDP from passing.' };
    case 'vanished':
    case 'media_error':
    case 'wrong_fingerprint':
      return { title: 'The connection was interrupted', text: 'You will be back in a moment.' };
    default:
      return { title: 'Connection lost', text: 'You will be back as soon as the server can be reached.' };
  }
}

/** Why one's own picture is not shown and what to do about it: the server's `picture_refused`, for people. */
export function pictureHelp({ reason, width, height }) {
  switch (reason) {
    case 'too_large':
      return `Nobody sees your picture: ${width} × ${height} is too large. Choose another camera, or a smaller window or screen.`;
    case 'size_changes_too_often':
      return 'Nobody sees your picture while its size changes all the time.';
    default:
      return 'Nobody sees your picture: it has too many pixels a second. Choose fewer frames or a smaller size.';
  }
}

/**
 * After one request for camera and microphone together was refused: which of them may be asked for alone without
 * pestering people with a question that they just answered. `states` are the permissions' states where the browser
 * tells them (`granted`, `denied`, `prompt` or undefined).
 */
export function worthAskingAlone(error, states) {
  const refused = deviceProblem(error) === 'refused';
  const kinds = ['microphone', 'camera'];
  return kinds.filter((kind) => {
    if (!refused || states[kind] === 'granted') return true;
    const other = kinds.find((candidate) => candidate !== kind);
    return states[kind] === 'prompt' && states[other] === 'denied';
  });
}

/** The last word of a problem's `type`, a URI: `urn:tessera:problem:nothing-live` is `nothing-live`. */
export function problemKind(type) {
  return String(type).split(/[/:#]/).pop();
}
