// Keys without modifiers that press buttons: the button stays the one place where a thing is done.

/**
 * Connects the keys that the buttons on the page announce in `aria-keyshortcuts` (single characters). They do nothing
 * while text is typed or a choice is made, and nothing on buttons that are hidden or disabled.
 */
export function listenForShortcuts() {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || event.defaultPrevented) return;
    if (event.target.closest?.('input:not([type=radio]), select, textarea, dialog')) return;
    const key = event.key.toLowerCase();
    for (const button of document.querySelectorAll('button[aria-keyshortcuts]')) {
      if (button.getAttribute('aria-keyshortcuts').toLowerCase() !== key) continue;
      if (button.disabled || button.offsetParent === null) continue;
      event.preventDefault();
      button.click();
      return;
    }
  });
}
