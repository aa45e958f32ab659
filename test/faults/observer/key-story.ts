// The record of the stream, told per key and on the campaign's clock: when each key began to say what, and when it went.
// Reads the sightings once; judges nothing.

import type { Sighting } from '../../support/stream-observer.ts';

export type KeyEntry = {
  readonly atMs: number;
  readonly seq: number;
  readonly key: string;
  /** Undefined: the key is gone. */
  readonly status: 'ACTIVE' | 'UNHEALTHY' | 'STANDBY' | undefined;
  readonly uid: string;
  readonly reason: string;
  readonly sighting: Sighting;
};

export type KeyStory = {
  /** Every entry of instance keys in the order of the stream. */
  readonly entries: readonly KeyEntry[];
  readonly byKey: ReadonlyMap<string, readonly KeyEntry[]>;
  /** The entries of the keys that a pod ever had, also the removals, which name no pod. */
  readonly byPod: ReadonlyMap<string, readonly KeyEntry[]>;
};

export const tellStory = (
  messages: readonly Sighting[],
  atMs: (sighting: Sighting) => number,
  /** Written by others, or what became of such a message: it ends the story of a key that was ours. */
  isForeign: (sighting: Sighting) => boolean,
): KeyStory => {
  const entries: KeyEntry[] = [];
  const byKey = new Map<string, KeyEntry[]>();
  const byPod = new Map<string, KeyEntry[]>();
  const owner = new Map<string, string>();
  for (const sighting of messages) {
    const { key, value, podUid, operation, headers } = sighting;
    if (key === undefined) continue;
    const taken = isForeign(sighting);
    if (taken && !owner.has(key)) continue;
    if (podUid !== '' && !taken) owner.set(key, podUid);
    const uid = owner.get(key) ?? '';
    if (taken) owner.delete(key);
    const entry: KeyEntry = {
      atMs: atMs(sighting),
      seq: sighting.seq,
      key,
      status: operation === 'PUT' && !taken ? value?.status : undefined,
      uid,
      reason: headers['Rollcall-Reason'] ?? (taken ? 'taken by others' : operation),
      sighting,
    };
    entries.push(entry);
    push(byKey, key, entry);
    if (uid !== '') push(byPod, uid, entry);
  }
  return { entries, byKey, byPod };
};

const push = <T>(map: Map<string, T[]>, key: string, item: T): void => {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
};

/** The last entry at or before that time. */
export const entryAt = (entries: readonly KeyEntry[], atMs: number): KeyEntry | undefined => {
  let [low, high] = [0, entries.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.atMs ?? 0) <= atMs) low = middle + 1;
    else high = middle;
  }
  return entries[low - 1];
};
