// Which writes of sticky groups belong into one batch. A hand-over is a unit: every key that says ACTIVE for the group
// is written down, and the successor up. It is written whole or not at all, never split by the size of a batch, and
// within the batch all that goes up stands last, so that no prefix of the stream holds two ACTIVE of a group.
// Who is elected is `sticky-groups.ts`'s.

import type { GroupKey } from '../domain/sticky.ts';
import type { DueWrite } from './lanes.ts';
import type { Refusals } from './refusals.ts';
import { nextStep, promotes, type Row, wantedStep } from './row.ts';
import type { StickyGroups } from './sticky-groups.ts';
import type { Write } from './write.ts';

export type JoinedWrite = DueWrite & {
  /** The group whose hand-over this is a part of. */
  readonly handOver: GroupKey | undefined;
};

export type Joined = {
  readonly writes: readonly JoinedWrite[];
  /** Due, but left for the next batch. */
  readonly putBack: readonly Row[];
  /** Due, but not before what stands in the way can be written or is gone. */
  readonly putOff: readonly Row[];
};

/** What keeps rows from being written now. */
export type Hindrances = {
  /** False: the key of this Ready pod is not written now, so it is given no role now. */
  readonly mayKeep: (row: Row) => boolean;
  /** A key that the server would not have is tried again by itself. */
  readonly refusals: Refusals;
};

/** Completes the hand-overs of which a part is due; at most `limit` writes, as `due` is. */
export const joinHandOvers = (
  due: readonly DueWrite[],
  limit: number,
  nowMs: number,
  groups: StickyGroups,
  { mayKeep, refusals }: Hindrances,
): Joined => {
  const groupsDue = groupsOf(due);
  if (groupsDue.size === 0) {
    return { writes: due.map((write) => ({ ...write, handOver: undefined })), putBack: [], putOff: [] };
  }
  const steps = new Map(due.map(({ row, step }) => [row, step]));
  const units: JoinedWrite[] = [];
  const joined = new Set<Row>();
  const putOff: Row[] = [];
  const taken = new Set<Row>();
  const isApart = (row: Row) => refusals.has(row) && !steps.has(row);
  for (const group of groupsDue) {
    const successors = groups
      .successors(group)
      .filter((row) => mayKeep(row) && !isApart(row) && nextStep(row, nowMs).kind === 'write');
    // Without a successor a farewell is a write like any other.
    if (successors.length === 0) continue;
    const predecessors = groups.predecessors(group).filter((row) => !refusals.hasLapsed(row, nowMs));
    if (predecessors.some(isApart)) {
      for (const row of successors) joined.add(row);
      putOff.push(...successors.filter((row) => steps.has(row)));
      continue;
    }
    const rows = [...predecessors, ...successors];
    for (const row of rows) joined.add(row);
    // What is being read may turn out to be something else.
    if (rows.some((row) => row.inFlight)) continue;
    // A key is written once in a batch: it cannot go down for one group and up for another.
    if (rows.some((row) => taken.has(row))) continue;
    // One unit goes always: two pods' keys in all forms of layout are far from filling a batch.
    if (units.length > 0 && units.length + rows.length > limit) continue;
    for (const row of rows) taken.add(row);
    units.push(...rows.map((row) => ({ row, step: steps.get(row) ?? stepOf(row, nowMs), handOver: group })));
  }
  const others = due.filter(({ row }) => !joined.has(row)).map((write) => ({ ...write, handOver: undefined }));
  const writes = [...others.slice(0, Math.max(0, limit - units.length)), ...units];
  const settled = new Set([...writes.map(({ row }) => row), ...putOff]);
  return { writes, putBack: due.flatMap(({ row }) => (settled.has(row) ? [] : row)), putOff };
};

/** As they are to be stored: what goes up last. */
export const inOrder = (writes: readonly JoinedWrite[]): readonly JoinedWrite[] => {
  const ups = writes.filter(({ row }) => promotes(row));
  return ups.length === 0 ? writes : [...writes.filter(({ row }) => !promotes(row)), ...ups];
};

/** Of writes taken, those of hand-overs that are no longer whole, because a part fell out or the stream has changed. */
export const tornHandOvers = (
  writes: readonly Write[],
  nowMs: number,
  groups: StickyGroups,
  refusals: Refusals,
): readonly Write[] => {
  const isWhole = (group: GroupKey, unit: readonly Write[]): boolean => {
    const rows = new Set(unit.map(({ row }) => row));
    const isOut = (row: Row) => rows.has(row) || refusals.hasLapsed(row, nowMs);
    return unit.some(({ promotes: up }) => up) && !groups.isBlocked(group) && groups.predecessors(group).every(isOut);
  };
  const units = Map.groupBy(writes, ({ handOver }) => handOver);
  return [...units].flatMap(([group, unit]) => (group === undefined || isWhole(group, unit) ? [] : unit));
};

/** The groups that a part of these writes is about. */
const groupsOf = (due: readonly DueWrite[]): ReadonlySet<GroupKey> => {
  const groups = new Set<GroupKey>();
  for (const { row } of due) {
    if (row.group !== undefined && promotes(row)) groups.add(row.group);
    if (row.observed.kind === 'ours' && row.observed.active !== undefined) groups.add(row.observed.active.group);
  }
  return groups;
};

/** The holder of a role goes down also when nothing else is to be done about its key. */
const stepOf = (row: Row, nowMs: number): DueWrite['step'] => {
  const step = wantedStep(row, nowMs);
  return step.kind === 'write' || step.kind === 'purge'
    ? step
    : { kind: 'write', reason: 'RoleChange', lane: 'urgent' };
};
