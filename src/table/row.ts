// One key of the registry: what should be there (the wish), what was last seen to be there (observed), and the next
// step that brings the two together. The step is a pure function of the row and the time; the table schedules it and
// the writer takes it. An instance has one row per key of its layout, and, while that changes, rows that retire.

import { type InstanceKey, type InstanceStatus, isUnready, type Wish } from '../domain/instance.ts';
import type { WriteReason } from '../domain/message-headers.ts';
import { formsOf, type KeyForm } from '../domain/names.ts';
import type { InstanceReport } from '../domain/registration-status.ts';
import type { EncodedInstance } from '../domain/service-instance.ts';
import type { ActiveRole, GroupKey } from '../domain/sticky.ts';
import type { Revision } from '../writer/registry.ts';
import type { Grace } from './grace.ts';
import type { Timed } from './timing-wheel.ts';

/** What the stream was last seen to hold under the key. */
export type Observed =
  /** Not known: the revision must be read before anything is written. */
  | { readonly kind: 'unknown' }
  /**
   * No value. `revision` is what a create must expect: the marker's, or 0. `isLapse`: the marker says that it lapsed.
   * `isRemnant`: at the stream's leader, while another server of the cluster came back with a value that lapsed, which
   * whatever is written next takes the place of.
   */
  | { readonly kind: 'none'; readonly revision: Revision; readonly isLapse?: true; readonly isRemnant?: true }
  | {
      readonly kind: 'ours';
      readonly revision: Revision;
      readonly status: InstanceStatus;
      /** The value is the ACTIVE one of a sticky group. */
      readonly active: ActiveRole | undefined;
      /** The pod that it was written for, which is the one before where the key has passed on; absent: not known. */
      readonly podUid?: string;
      /** The value around the heartbeat as written, to notice changed content; undefined when it was read back. */
      readonly text: EncodedInstance | undefined;
      readonly ttlMs: number;
      /** What the wish asked for when that TTL was given, where it was stretched; absent: just that. */
      readonly agreedTtlMs?: number;
      /** Monotonic ms when the server was last known not to have stored it later: its TTL counts from here. */
      readonly writtenAtMs: number;
      /** Wall ms printed in `lastHeartbeat`. */
      readonly heartbeatMs: number;
    }
  /** Somebody else's value: never written while it stands. `owner` is for people. */
  | { readonly kind: 'foreign'; readonly revision: Revision; readonly owner: string };

/**
 * `retiring`: its layout is not in force any more, and it is kept up until the keys of the one that is stand.
 * `retired`: they do, and it is left to lapse. Either gets its farewell when the pod goes.
 */
export type Tenure = 'current' | 'retiring' | 'retired';

/** A row's part of `InstanceReport`, with the wall ms of its last change. */
export type RowReport = {
  readonly status: InstanceReport['status'];
  readonly reason: InstanceReport['reason'];
  readonly sinceMs: number;
};

export interface Row extends Timed<Row> {
  readonly key: InstanceKey;
  readonly form: KeyForm;
  readonly instanceId: string;
  /** Place in the refresh interval, [0, 1). */
  readonly fraction: number;
  /** In force now: while a grace lasts it is live, whatever the pod is. */
  wish: Wish;
  /** The pod is no longer Ready, and its key stays as it is for a while. */
  grace: Grace | undefined;
  /** Nobody wishes for this key any more; the row goes when nothing is left to do. */
  farewell: boolean;
  tenure: Tenure;
  /** The sticky group of the wish. */
  group: GroupKey | undefined;
  /** What the value of a Ready pod says: ACTIVE but for those of a sticky group that are not elected. */
  role: 'ACTIVE' | 'STANDBY';
  /** The value as it should read now (status included), without the heartbeat. */
  text: EncodedInstance;
  observed: Observed;
  /** Wall ms printed in the last `lastHeartbeat` known of the key; the next one is larger, also after the key was gone. */
  heartbeatMs: number;
  /** Monotonic ms when the wish last changed between live and away, or was first made; `SETTLED` when that was written. */
  wishedAtMs: number;
  /** Monotonic ms before which a further change of what the key says is held back; `NEVER`: by nothing written so far. */
  dampedUntilMs: number;
  /** Monotonic ms of the next refresh; a `foreign` key, and one that should have lapsed, is looked at again then. */
  refreshDueMs: number;
  /** Monotonic ms before which the key is not written, because somebody else keeps taking it. */
  yieldUntilMs: number;
  /** In a batch or a read that is under way: it is scheduled again when that is settled. */
  inFlight: boolean;
  /** What people are told of the row, so that a change can be noticed and dated. */
  report: RowReport;
}

/** Of the rows of an instance the one that people are told of. */
export const isShown = ({ form, tenure, wish }: Row): boolean =>
  tenure === 'current' && form === formsOf(wish.keyLayout)[0];

/** `wishedAtMs` of a row whose wish was written as it is. */
export const SETTLED = -1;

/** Longer than any pod waits for its key while there is a registry. */
const OVERDUE_MS = 15_000;

/** A key of the row should have stood for long: written now, it is written again, and not the first time. */
export const isOverdue = ({ wishedAtMs }: Row, nowMs: number): boolean => nowMs > wishedAtMs + OVERDUE_MS;

/** `dampedUntilMs` of a row of which no change counts, or none that still stands. */
export const NEVER = Number.NEGATIVE_INFINITY;

/** A pod that goes on flapping has its key changed once in so long, to what it is by then. */
export const DAMPING_MS = 2_000;

/** `dampedUntilMs` after a change was written: two may come at once, and in the long run one in `DAMPING_MS`. */
export const dampedAfter = ({ dampedUntilMs }: Row, nowMs: number): number =>
  Math.min(Math.max(dampedUntilMs + DAMPING_MS, nowMs), nowMs + DAMPING_MS);

export type Step =
  | { readonly kind: 'write'; readonly reason: WriteReason; readonly lane: 'urgent' | 'refresh' }
  | { readonly kind: 'purge'; readonly reason: WriteReason }
  /** Ask the server what is there, then decide again. */
  | { readonly kind: 'read' }
  | { readonly kind: 'wait'; readonly untilMs: number; readonly damped?: true }
  /** Nothing to do until the wish changes. */
  | { readonly kind: 'rest' };

/**
 * The next step for a row at monotonic `nowMs`: what it wants, unless that is damped.
 *
 * A key may change twice at once, so that a pod that flaps once is UNHEALTHY and ACTIVE again without delay; what changes
 * more often waits until two seconds have passed for each change, and then the latest state counts. Not damped is what
 * readers must not wait for, and what does not come again and again: the farewell of a pod that goes for good, what people
 * switch off, the first word of the pod that follows under a key, the promotion in a sticky group with all that is written
 * for it, a key that somebody else removed, and refreshes.
 */
export const nextStep = (row: Row, nowMs: number): Step => {
  const step = wantedStep(row, nowMs);
  const untilMs = row.dampedUntilMs;
  return nowMs < untilMs && isDamped(row, step) ? { kind: 'wait', untilMs, damped: true } : step;
};

const isDamped = (row: Row, step: Step): boolean => {
  if (step.kind === 'write' ? step.lane === 'refresh' : step.kind !== 'purge') return false;
  const { state } = row.wish;
  const mayFlap = state.kind === 'live' || isUnready(state.reason);
  const isLast = row.farewell || row.tenure !== 'current';
  return mayFlap && !isLast && !isPredecessors(row) && !promotes(row) && row.observed.kind !== 'foreign';
};

/**
 * What a row wants at monotonic `nowMs`, were nothing damped.
 *
 *   wish          | unknown | none            | ours                                   | foreign
 *   --------------+---------+-----------------+----------------------------------------+----------------------------
 *   live          | read    | write, unless   | changed: write; due: refresh; else wait| read when due (Adopt: write)
 *                 |         | it yields       |                                        |
 *   away, Mark..  | read    | rest            | ACTIVE: write UNHEALTHY; else rest     | rest
 *   away, Lapse   | read    | rest            | wait for the lapse                     | rest
 *   away, Remove  | read    | rest            | purge                                  | rest
 *
 * A live row that retires is refreshed while its key stands as ours, one that is retired waits for the lapse. A remnant of
 * a pod that is away is purged.
 * In a sticky group the row is not alone: `hand-over.ts` adds what must be written in the same batch.
 */
export const wantedStep = (row: Row, nowMs: number): Step => {
  const { observed, wish } = row;
  if (observed.kind === 'unknown') return { kind: 'read' };
  if (wish.state.kind === 'live')
    return row.tenure === 'current' ? liveStep(row, observed, nowMs) : tailStep(row, nowMs);
  if (observed.kind === 'none' && observed.isRemnant) return { kind: 'purge', reason: awayReason(wish) };
  if (observed.kind !== 'ours') return { kind: 'rest' };
  const lapsesAtMs = Math.max(observed.writtenAtMs + observed.ttlMs + LAPSE_SLACK_MS, row.refreshDueMs);
  const untilLapse: Step = nowMs < lapsesAtMs ? { kind: 'wait', untilMs: lapsesAtMs } : { kind: 'read' };
  switch (wish.whenNotReady) {
    case 'Lapse':
      return untilLapse;
    case 'Remove':
      return { kind: 'purge', reason: awayReason(wish) };
    case 'MarkUnhealthy':
      return observed.status === 'UNHEALTHY' ? untilLapse : { kind: 'write', reason: awayReason(wish), lane: 'urgent' };
  }
};

const liveStep = (row: Row, observed: Exclude<Observed, { kind: 'unknown' }>, nowMs: number): Step => {
  const { wish, refreshDueMs } = row;
  switch (observed.kind) {
    case 'none':
      return nowMs < row.yieldUntilMs
        ? { kind: 'wait', untilMs: row.yieldUntilMs }
        : { kind: 'write', reason: 'Registered', lane: 'urgent' };
    case 'foreign':
      if (wish.adopt && nowMs >= row.yieldUntilMs) return { kind: 'write', reason: 'Handover', lane: 'urgent' };
      return refreshDueMs <= nowMs ? { kind: 'read' } : { kind: 'wait', untilMs: refreshDueMs };
    case 'ours': {
      const changed = observed.text !== undefined && !sameText(observed.text, row.text);
      if (observed.status === 'UNHEALTHY' || isPredecessors(row))
        return { kind: 'write', reason: 'Registered', lane: 'urgent' };
      if (observed.status !== row.role || promotes(row)) {
        return { kind: 'write', reason: 'RoleChange', lane: 'urgent' };
      }
      if (changed || (observed.agreedTtlMs ?? observed.ttlMs) !== wish.ttlMs)
        return { kind: 'write', reason: 'SpecChange', lane: 'urgent' };
      return refreshDueMs <= nowMs
        ? { kind: 'write', reason: 'Refresh', lane: 'refresh' }
        : { kind: 'wait', untilMs: refreshDueMs };
    }
  }
};

/** Not rewritten for a change: with a longer TTL it would stand for longer beside its successor. */
const tailStep = ({ group, observed, refreshDueMs, tenure }: Row, nowMs: number): Step => {
  if (observed.kind !== 'ours' || observed.status === 'UNHEALTHY') return { kind: 'rest' };
  // The pod is given no role in its new group while a key of it says ACTIVE for the one before.
  if (group !== undefined && observed.active !== undefined && observed.active.group !== group)
    return { kind: 'write', reason: 'RoleChange', lane: 'urgent' };
  if (tenure === 'retired') {
    const lapsesAtMs = observed.writtenAtMs + observed.ttlMs + LAPSE_SLACK_MS;
    return nowMs < lapsesAtMs ? { kind: 'wait', untilMs: lapsesAtMs } : { kind: 'rest' };
  }
  return refreshDueMs <= nowMs
    ? { kind: 'write', reason: 'Refresh', lane: 'refresh' }
    : { kind: 'wait', untilMs: refreshDueMs };
};

/** What the key says once the wish is written. */
export const statusOf = ({ wish, role, group }: Row): InstanceStatus => {
  if (wish.state.kind === 'live') return role;
  // Written for a hand-over only: nothing is known against the pod.
  return wish.state.reason === 'Suspended' && group !== undefined ? 'STANDBY' : 'UNHEALTHY';
};

/** The term of the role that the key holds in its group for its pod; 0: it holds none. */
export const heldTerm = ({ group, observed, wish }: Row): number => {
  const active = observed.kind === 'ours' ? observed.active : undefined;
  return active !== undefined && active.group === group && active.uid === wish.pod.uid ? active.term : 0;
};

/** Writing the wish gives the key a role in its group that it does not hold. */
export const promotes = (row: Row): boolean =>
  row.group !== undefined &&
  row.role === 'ACTIVE' &&
  row.wish.state.kind === 'live' &&
  row.tenure === 'current' &&
  heldTerm(row) === 0;

/** The key is ours, or can be. */
export const isWritable = ({ observed, wish, yieldUntilMs }: Row, nowMs: number): boolean =>
  observed.kind === 'ours' || ((observed.kind === 'none' || wish.adopt) && nowMs >= yieldUntilMs);

/** A key is gone at most this long after its TTL ran out: 340 ms measured, and some air. */
export const LAPSE_SLACK_MS = 500;

/**
 * A key that was written at the last moment is written again so much later. When a TTL runs out the server decides that
 * there shall be a marker, and stores it a moment later, over whatever was accepted in between (nats-server 2.15.2: one of
 * 280 writes at the very moment; `handleRemovalOrSdm` in its filestore.go). The second write would be refused then.
 */
export const LOOK_AGAIN_MS = 1_000;

/** The server may have stored a value up to so much earlier than we knew: the time that a batch may take, and some air. */
const STORED_EARLIER_MS = 2_500;

/** Whether the value that was replaced at `nowMs` was about to lapse. */
export const isLastMoment = ({ observed }: Row, nowMs: number): boolean =>
  observed.kind === 'ours' && nowMs > observed.writtenAtMs + observed.ttlMs - STORED_EARLIER_MS;

/** What people are told of a row. A live key is what the server acknowledged, not what we mean to write. */
export const reportOf = (row: Row, nowMs: number): Pick<RowReport, 'status' | 'reason'> => {
  const { observed, wish } = row;
  const stands = observed.kind === 'ours' && nowMs < observed.writtenAtMs + observed.ttlMs + LAPSE_SLACK_MS;
  if (stands && !isPredecessors(row))
    return { status: observed.status, reason: wish.state.kind === 'away' ? wish.state.reason : undefined };
  if (wish.state.kind === 'away') return { status: 'Pending', reason: wish.state.reason };
  if (observed.kind === 'foreign' || nowMs < row.yieldUntilMs) return { status: 'Conflict', reason: 'HeldByAnother' };
  return { status: 'Pending', reason: observed.kind === 'ours' && !stands ? 'Lapsed' : 'Registering' };
};

/** The key has passed to this pod, and what stands there was written for the one before. */
const isPredecessors = ({ observed, wish }: Row): boolean =>
  observed.kind === 'ours' && observed.podUid !== undefined && observed.podUid !== wish.pod.uid;

export const sameText = (a: EncodedInstance, b: EncodedInstance): boolean => a.head === b.head && a.tail === b.tail;

const awayReason = (wish: Wish): WriteReason => {
  if (wish.state.kind === 'live') return 'Refresh';
  switch (wish.state.reason) {
    case 'PodNotReady':
    case 'NodeSilent':
      return 'NotReady';
    case 'Terminating':
      return 'Terminating';
    case 'Suspended':
    case 'Deselected':
      return 'Deselected';
  }
};
