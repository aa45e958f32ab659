// Where in its interval a key is refreshed. Pure. Spreads the refreshes of many keys evenly, by a hash of the key,
// so that neither a start nor an outage makes them march in step.

/**
 * FNV-1a over the text's code units, stirred twice, mapped to [0, 1). Without stirring the last digit alone would hardly
 * count, and the pods of a StatefulSet march in step.
 */
export const fractionOf = (text: string): number => {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  for (let round = 0; round < 2; round += 1) hash = Math.imul(hash ^ (hash >>> 15), 0x2545f491);
  return (hash >>> 0) / 0x1_0000_0000;
};

/**
 * The next refresh after a write at `nowMs`: the first moment of the key's own grid that is later, so at most one
 * interval away. The first refresh after a write off the grid comes early, all others exactly one interval apart.
 * The grid lies on the wheel's ticks (`intervalMs` is a multiple of `tickMs`), so that no member is handed out before
 * its moment and then found due a second time.
 */
export const nextRefreshMs = (nowMs: number, intervalMs: number, tickMs: number, fraction: number): number => {
  const offset = Math.floor((fraction * intervalMs) / tickMs) * tickMs;
  return (Math.floor((nowMs - offset) / intervalMs) + 1) * intervalMs + offset;
};
