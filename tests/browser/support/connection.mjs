// What the browser itself says of the page's connection, whatever the page shows of it.

/** Remembers the connections that this page makes. To be called before the page is loaded. */
export async function observe(page) {
  await page.evaluateOnNewDocument(() => {
    const Original = window.RTCPeerConnection;
    window.connections = [];
    window.RTCPeerConnection = class extends Original {
      constructor(...configuration) {
        super(...configuration);
        window.connections.push(this);
      }
    };
  });
}

/** The entry of `getStats` of the newest connection with this `type` and `kind`, or null. */
export function statsOf(page, type, kind) {
  return page.evaluate(
    async (type, kind) => {
      const report = await window.connections.at(-1)?.getStats();
      return [...(report?.values() ?? [])].find((entry) => entry.type === type && entry.kind === kind) ?? null;
    },
    type,
    kind,
  );
}
