// The time that does not count, as the invariants grant it and no more: without a leader, with a registry that cannot be
// written, with a view that is blind. Leaderless time is read off the stream; the others are what the case did.

import type { Sighting } from '../../support/stream-observer.ts';
import type { Fault } from '../evidence.ts';

export type Window = { readonly fromMs: number; readonly toMs: number };

/** After a crash so much time without a leader is granted. */
const LEADERLESS_MAX_MS = 8_000;
/** A leader renews this often, so it was gone for up to so long before the gap shows. */
const RENEWAL_MS = 2_000;
const RENEWAL_LATE_MS = 3_000;
/** An outage of the registry that is longer than this excuses gaps, and this long afterwards as well. */
const REGISTRY_OUTAGE_MIN_MS = 12_000;
const REGISTRY_BACK_MS = 5_000;
/** After the last fault the state must be right again within this time. */
const CONVERGED_MS = 15_000;

const AFTERWARDS_MS = {
  registry: REGISTRY_BACK_MS,
  operators: REGISTRY_BACK_MS,
  blind: CONVERGED_MS,
  keys: 0,
} as const;

/** From the last word of a leader to the first key that the next one writes. */
export const leaderless = (messages: readonly Sighting[], atMs: (sighting: Sighting) => number): readonly Window[] => {
  const windows: Window[] = [];
  let last: { readonly atMs: number; readonly term: string | undefined } | undefined;
  let open: number | undefined;
  for (const sighting of messages) {
    const term = sighting.headers['Rollcall-Term'];
    const now = atMs(sighting);
    if (sighting.subject.endsWith('.lock') && sighting.operation === 'PUT') {
      if (last !== undefined && (now - last.atMs > RENEWAL_LATE_MS || term !== last.term)) open = last.atMs;
      last = { atMs: now, term };
    } else if (term !== undefined && term === last?.term) {
      // Renewals replace each other, also before they are seen; the keys written with them are.
      last = { atMs: now, term };
      if (open === undefined || sighting.key === undefined) continue;
      windows.push({ fromMs: open, toMs: Math.min(now, open + RENEWAL_MS + LEADERLESS_MAX_MS) });
      open = undefined;
    }
  }
  if (open !== undefined) windows.push({ fromMs: open, toMs: open + RENEWAL_MS + LEADERLESS_MAX_MS });
  return windows;
};

/** What I2, I4 and I5 do not count beside it. */
export const obstructed = (faults: readonly Fault[]): readonly Window[] =>
  faults.flatMap(({ excuse, fromMs, toMs }) => {
    return excuse === 'none' ? [] : [{ fromMs, toMs: toMs + AFTERWARDS_MS[excuse] }];
  });

/** What I1 alone knows. */
export const longOutages = (faults: readonly Fault[]): readonly Window[] =>
  faults
    .filter(({ excuse, fromMs, toMs }) =>
      excuse === 'registry' ? toMs - fromMs > REGISTRY_OUTAGE_MIN_MS : excuse === 'keys' || excuse === 'operators',
    )
    .map(({ excuse, fromMs, toMs }) => ({ fromMs, toMs: toMs + (excuse === 'keys' ? 0 : REGISTRY_BACK_MS) }));

/** How much of the time between counts. The windows may overlap. */
export const counted = (fromMs: number, toMs: number, windows: readonly Window[]): number => {
  let [sum, reached] = [0, fromMs];
  for (const window of windows.toSorted((a, b) => a.fromMs - b.fromMs)) {
    if (window.toMs <= reached || window.fromMs >= toMs) continue;
    if (window.fromMs > reached) sum += window.fromMs - reached;
    reached = window.toMs;
  }
  return sum + Math.max(0, toMs - reached);
};

/** Whether one window holds all of it. */
export const within = (fromMs: number, toMs: number, windows: readonly Window[]): boolean =>
  windows.some((window) => window.fromMs <= fromMs && toMs <= window.toMs);
