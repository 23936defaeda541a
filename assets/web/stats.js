// What really goes up and down, from two reports of `getStats`. Pure.

/**
 * Reads a report against the one before (`previous` is what this function returned then, or null). Returns
 * `{at, up: {video, audio}, down: {video, audio}, roundTrip}`, each medium null where nothing is negotiated, else:
 * `codec`, `kbps` (with RTP headers), `width`, `height`, `fps`, `loss` (%), `jitterBuffer` (ms, down only),
 * `freezes` (count, down only), `limit` (why the encoder holds back, up only). Unknown values are null; `roundTrip` in ms.
 */
export function readStats(report, previous = null) {
  const result = { at: 0, counters: {}, up: { video: null, audio: null }, down: { video: null, audio: null }, roundTrip: null };
  for (const entry of report.values()) {
    if (entry.type === 'outbound-rtp' && entry.kind in result.up) result.up[entry.kind] = readUp(entry, report, previous, result);
    if (entry.type === 'inbound-rtp' && entry.kind in result.down) result.down[entry.kind] = readDown(entry, report, previous, result);
  }
  result.roundTrip = roundTrip(report);
  return result;
}

function readUp(entry, report, previous, result) {
  const remote = entry.remoteId ? report.get(entry.remoteId) : remoteOf(entry, report);
  const delta = differences(entry, previous, result, {
    bytes: (entry.bytesSent ?? 0) + (entry.headerBytesSent ?? 0),
    frames: entry.framesEncoded ?? 0,
  });
  return {
    ...picture(entry, delta),
    codec: codecOf(entry, report),
    kbps: rate(delta, 'bytes', 8 / 1000),
    loss: remote?.fractionLost === undefined ? null : remote.fractionLost * 100,
    limit: entry.qualityLimitationReason && entry.qualityLimitationReason !== 'none' ? entry.qualityLimitationReason : null,
  };
}

function readDown(entry, report, previous, result) {
  const delta = differences(entry, previous, result, {
    bytes: (entry.bytesReceived ?? 0) + (entry.headerBytesReceived ?? 0),
    frames: entry.framesDecoded ?? 0,
    lost: entry.packetsLost ?? 0,
    packets: entry.packetsReceived ?? 0,
    buffered: entry.jitterBufferDelay ?? 0,
    emitted: entry.jitterBufferEmittedCount ?? 0,
  });
  const expected = delta ? Math.max(0, delta.lost) + delta.packets : 0;
  return {
    ...picture(entry, delta),
    codec: codecOf(entry, report),
    kbps: rate(delta, 'bytes', 8 / 1000),
    loss: expected > 0 ? (Math.max(0, delta.lost) / expected) * 100 : null,
    jitterBuffer: delta?.emitted > 0 ? (delta.buffered / delta.emitted) * 1000 : null,
    freezes: entry.freezeCount ?? null,
  };
}

function picture(entry, delta) {
  if (entry.kind !== 'video') return { width: null, height: null, fps: null };
  const measured = delta && delta.seconds > 0 ? delta.frames / delta.seconds : null;
  return { width: entry.frameWidth ?? null, height: entry.frameHeight ?? null, fps: entry.framesPerSecond ?? measured };
}

// The growth of counters since the last report, or null at first; `seconds` is the time between.
function differences(entry, previous, result, counters) {
  result.at = Math.max(result.at, entry.timestamp);
  result.counters[entry.id] = { ...counters, at: entry.timestamp };
  const before = previous?.counters[entry.id];
  if (!before) return null;
  const delta = { seconds: (entry.timestamp - before.at) / 1000 };
  for (const [name, value] of Object.entries(counters)) delta[name] = value - before[name];
  return delta;
}

function rate(delta, name, factor) {
  return delta && delta.seconds > 0 ? (delta[name] * factor) / delta.seconds : null;
}

function codecOf(entry, report) {
  return report.get(entry.codecId)?.mimeType?.split('/')[1] ?? null;
}

function remoteOf(entry, report) {
  return [...report.values()].find(({ type, ssrc }) => type === 'remote-inbound-rtp' && ssrc === entry.ssrc);
}

// The pair in use knows it best; browsers without that figure have it from RTCP.
function roundTrip(report) {
  const entries = [...report.values()];
  const selected = entries.find(({ type }) => type === 'transport')?.selectedCandidatePairId;
  const pair = report.get(selected) ?? entries.find((entry) => entry.type === 'candidate-pair' && entry.nominated);
  const seconds =
    pair?.currentRoundTripTime ??
    entries.find((entry) => entry.type === 'remote-inbound-rtp' && entry.roundTripTime !== undefined)?.roundTripTime;
  return seconds === undefined ? null : seconds * 1000;
}
