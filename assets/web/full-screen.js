// Full screen, where the browser has it.

/** Lets `button` put `stage` on the full screen and back; iPhones can do so only with the video alone. */
export function offerFullScreen(button, stage, video) {
  const possible = Boolean(stage.requestFullscreen || video.webkitEnterFullscreen);
  button.hidden = !possible;
  button.addEventListener('click', async () => {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (stage.requestFullscreen) await stage.requestFullscreen().catch(() => {});
    else video.webkitEnterFullscreen();
  });
  document.addEventListener('fullscreenchange', () => {
    button.setAttribute('aria-pressed', String(document.fullscreenElement !== null));
  });
}
