// `notReadyGraceSeconds`: a pod that ceases to be Ready keeps for a while the key it has. The row's wish stays live, with
// the pod's own wish beside it, which comes into force when the grace is over. Pure; the table asks, and schedules.
//
//   the pod's wish            the row has a live wish of this pod   the row is new
//   ------------------------- ------------------------------------- --------------------------------------------
//   live                      no grace                              no grace
//   away, PodNotReady or      goes on, or begins now                as if begun when Kubernetes says, if not over
//     NodeSilent
//   away for another reason   over at once                          none

import type { Clock } from '../clock.ts';
import { isUnready, type Wish } from '../domain/instance.ts';
import type { Row } from './row.ts';

/** Since when, monotonic, and the wish that comes into force when it is over. */
export type Grace = { readonly sinceMs: number; readonly wish: Graceful };

type Graceful = Wish & { readonly grace: NonNullable<Wish['grace']> };

/** Of a pod whose change was seen here: a grace that has begun is not begun anew. */
export const graceOf = (row: Row, wish: Wish, nowMs: number): Grace | undefined => {
  if (!mayHaveGrace(wish) || row.wish.state.kind !== 'live' || row.wish.pod.uid !== wish.pod.uid) return undefined;
  return { sinceMs: row.grace?.sinceMs ?? nowMs, wish };
};

/** Of a pod whose change nobody here has seen. Clocks may differ, so it is never longer than a whole grace from now. */
export const begunGrace = (wish: Wish, clock: Clock): Grace | undefined => {
  if (!mayHaveGrace(wish)) return undefined;
  const { ms, notReadySinceMs } = wish.grace;
  const elapsedMs = notReadySinceMs === undefined ? 0 : Math.max(0, clock.wallMs() - notReadySinceMs);
  return elapsedMs < ms ? { sinceMs: clock.monotonicMs() - elapsedMs, wish } : undefined;
};

/** Also where there is no key that says that the pod is there: then there is nothing to keep. */
export const isGraceOver = ({ observed }: Row, grace: Grace, nowMs: number): boolean => {
  if (observed.kind === 'none' || observed.kind === 'foreign') return true;
  if (observed.kind === 'ours' && observed.status === 'UNHEALTHY') return true;
  return nowMs >= graceEndsAtMs(grace);
};

export const graceEndsAtMs = ({ sinceMs, wish }: Grace): number => sinceMs + wish.grace.ms;

export const inForce = (wish: Wish, grace: Grace | undefined): Wish =>
  grace === undefined ? wish : { ...wish, state: { kind: 'live' } };

/** What the reconcilers said last, in force or not. */
export const wantedBy = ({ wish, grace }: Row): Wish => grace?.wish ?? wish;

const mayHaveGrace = (wish: Wish): wish is Graceful =>
  wish.grace !== undefined && wish.state.kind === 'away' && isUnready(wish.state.reason);
