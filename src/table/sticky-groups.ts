// The sticky groups of the table: who is a member, whose key says ACTIVE for a group by what is stored, and who was
// elected. Kept from row to row as they change; a group is elected anew only when something changed that counts.
// The rules are `domain/sticky.ts`'s, the batch of a hand-over is `hand-over.ts`'s.

import type { Clock } from '../clock.ts';
import { formsOf } from '../domain/names.ts';
import { type ActiveRole, electActive, type GroupKey, groupKey, type Member } from '../domain/sticky.ts';
import type { Refusals } from './refusals.ts';
import { heldTerm, isWritable, promotes, type Row } from './row.ts';
import { dropFrom, putInto } from './sets.ts';

/** What of a row counts for its groups, as last seen. */
type Filing = Member & {
  readonly group: GroupKey | undefined;
  /** The group that the stored value says ACTIVE for, which need not be the one wished for. */
  readonly occupied: GroupKey | undefined;
  /** The service, when nothing is known of what is stored: it may say ACTIVE for any of its groups. */
  readonly unknownOf: string | undefined;
};

const NO_ROWS: ReadonlySet<Row> = new Set();

export class StickyGroups {
  readonly #clock: Clock;
  readonly #refusals: Refusals;
  readonly #onDirty: () => void;
  readonly #filed = new Map<Row, Filing>();
  readonly #members = new Map<GroupKey, Set<Row>>();
  readonly #occupants = new Map<GroupKey, Set<Row>>();
  readonly #unknown = new Map<string, Set<Row>>();
  readonly #elected = new Map<GroupKey, string>();
  readonly #dirty = new Set<GroupKey>();

  /** `onDirty`: a group is to be elected anew. */
  constructor(clock: Clock, refusals: Refusals, onDirty: () => void) {
    this.#clock = clock;
    this.#refusals = refusals;
    this.#onDirty = onDirty;
  }

  /** To be told of every row that is new, changed or, with `has` false, gone from the table. */
  note(row: Row, has = true): void {
    const before = this.#filed.get(row);
    const after = has ? filingOf(row, this.#clock.monotonicMs(), this.#refusals) : undefined;
    if (before === undefined && after === undefined) return;
    if (before !== undefined && after !== undefined && sameFiling(before, after)) return;
    if (before !== undefined) this.#unfile(row, before);
    if (after !== undefined) this.#file(row, after);
    for (const filing of [before, after]) if (filing !== undefined) this.#spoil(filing);
  }

  /** Elects in every group that changed; returns the rows that have another role by it. */
  elect(): readonly Row[] {
    const changed: Row[] = [];
    for (const group of this.#dirty) {
      const members = this.#members.get(group) ?? NO_ROWS;
      const filings = [...members].flatMap((row) => this.#filed.get(row) ?? []);
      // Whichever of a pod's keys is ACTIVE for another group: it goes down before the pod is given a role in this one.
      const elsewhere = new Set(filings.flatMap(({ uid, occupied }) => ((occupied ?? group) === group ? [] : uid)));
      const blocked = this.isBlocked(group);
      const candidates: readonly Member[] = filings.map((filing) =>
        blocked || elsewhere.has(filing.uid) ? { ...filing, promotable: false } : filing,
      );
      const active = electActive(candidates, this.#elected.get(group));
      if (active === undefined) this.#elected.delete(group);
      else this.#elected.set(group, active);
      for (const row of members) {
        // A key that is not to be written anew keeps its role, and is given none.
        const { fit = false } = this.#filed.get(row) ?? {};
        const may = fit && (row.tenure === 'current' || heldTerm(row) > 0);
        const role = may && row.wish.pod.uid === active ? 'ACTIVE' : 'STANDBY';
        if (row.role === role) continue;
        row.role = role;
        changed.push(row);
      }
    }
    this.#dirty.clear();
    return changed;
  }

  /** The rows that are to say ACTIVE for the group and do not yet. */
  successors(group: GroupKey): readonly Row[] {
    return [...(this.#members.get(group) ?? NO_ROWS)].filter(promotes);
  }

  /** The rows whose keys say ACTIVE for the group, and must not when another's does. */
  predecessors(group: GroupKey): readonly Row[] {
    const elected = this.#elected.get(group);
    return [...(this.#occupants.get(group) ?? NO_ROWS)].filter(
      ({ wish, group: wished }) => !(wish.state.kind === 'live' && wished === group && wish.pod.uid === elected),
    );
  }

  /** Nobody may be promoted: some key of the service may say ACTIVE without our knowing. */
  isBlocked(group: GroupKey): boolean {
    return this.#unknown.size > 0 && this.#unknown.has(serviceOf(group));
  }

  #file(row: Row, filing: Filing): void {
    this.#filed.set(row, filing);
    put(this.#members, filing.group, row);
    put(this.#occupants, filing.occupied, row);
    put(this.#unknown, filing.unknownOf, row);
  }

  #unfile(row: Row, filing: Filing): void {
    this.#filed.delete(row);
    drop(this.#members, filing.group, row);
    drop(this.#occupants, filing.occupied, row);
    drop(this.#unknown, filing.unknownOf, row);
  }

  #spoil({ group, occupied, unknownOf }: Filing): void {
    for (const key of [group, occupied]) {
      if (key === undefined) continue;
      if (this.#members.has(key)) this.#dirty.add(key);
      else this.#forget(key);
    }
    if (unknownOf !== undefined) {
      for (const key of this.#members.keys()) if (serviceOf(key) === unknownOf) this.#dirty.add(key);
    }
    if (this.#dirty.size > 0) this.#onDirty();
  }

  /** Nobody is in it any more. */
  #forget(group: GroupKey): void {
    this.#dirty.delete(group);
    this.#elected.delete(group);
  }
}

/** Undefined for a row that no group is concerned with. */
const filingOf = (row: Row, nowMs: number, refusals: Refusals): Filing | undefined => {
  const { group, observed, wish } = row;
  // A key that cannot be written any more says nothing when it has lapsed, though nobody has read that.
  const isGone = refusals.hasLapsed(row, nowMs);
  const active: ActiveRole | undefined = observed.kind === 'ours' && !isGone ? observed.active : undefined;
  const unknownOf = observed.kind === 'unknown' ? wish.serviceName : undefined;
  if (group === undefined && active === undefined && unknownOf === undefined) return undefined;
  const isLive = wish.state.kind === 'live' && !row.farewell;
  // Of several keys of an instance one would say ACTIVE for this pod while another still does for the pod before it.
  const passesOn = active !== undefined && active.uid !== wish.pod.uid && formsOf(wish.keyLayout).length > 1;
  return {
    group,
    occupied: active?.group,
    unknownOf,
    uid: wish.pod.uid,
    term: isGone ? 0 : heldTerm(row),
    // What is not known may be ours.
    fit: isLive && (observed.kind === 'unknown' || isWritable(row, nowMs)),
    promotable:
      !passesOn &&
      row.tenure === 'current' &&
      row.grace === undefined &&
      Number.isFinite(wish.readySinceMs) &&
      refusals.mayPromote(row, nowMs),
    readySinceMs: wish.readySinceMs,
  };
};

const sameFiling = (a: Filing, b: Filing): boolean =>
  a.group === b.group &&
  a.occupied === b.occupied &&
  a.unknownOf === b.unknownOf &&
  a.uid === b.uid &&
  a.term === b.term &&
  a.fit === b.fit &&
  a.promotable === b.promotable &&
  a.readySinceMs === b.readySinceMs;

export const groupOf = ({ serviceName, content }: Row['wish']): GroupKey | undefined =>
  content.stickyActiveGroup === null ? undefined : groupKey(serviceName, content.stickyActiveGroup);

const serviceOf = (group: GroupKey): string => group.slice(0, group.indexOf('/'));

const put = <K>(sets: Map<K, Set<Row>>, key: K | undefined, row: Row): void => {
  if (key !== undefined) putInto(sets, key, row);
};

const drop = <K>(sets: Map<K, Set<Row>>, key: K | undefined, row: Row): void => {
  if (key !== undefined) dropFrom(sets, key, row);
};
