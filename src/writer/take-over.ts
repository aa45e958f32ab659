// The start of a term: with the lock held, every key under the prefix is read back, so that the table knows each
// revision and what nobody wishes for any more. The lock is renewed while this goes on.

import { brakeHolds, CONFIRM_AFTER_MS } from '../domain/brake.ts';
import type { InstanceKey } from '../domain/instance.ts';
import { parseInstanceKey } from '../domain/names.ts';
import { objectKey } from '../domain/pod.ts';
import { parseOwner } from '../domain/service-instance.ts';
import type { Observed, Row } from '../table/row.ts';
import { instanceFilters, subjectOf } from './batch-plan.ts';
import { judgeContext } from './commit.ts';
import type { WriterContext } from './context.ts';
import { judge } from './judge.ts';
import type { Term } from './lock.ts';
import { type Orphan, orphanOf } from './orphan.ts';
import type { StoredMessage } from './registry.ts';

/** Judging this many messages at a stretch keeps the event loop free enough. */
const SLICE = 500;

export type ReadBack = {
  readonly keys: number;
  /** Of ours, but of pods that are gone. */
  readonly orphans: number;
  /** Of ours, and of pods that are not to be seen, but kept up for now. */
  readonly held: number;
  /** Ours in an earlier term of this replica, and gone since. */
  readonly lapsed: number;
};

type Judged = { readonly uid: string; readonly observed: Observed };

/**
 * Reads the stream back into the table and begins to schedule. `betweenPages` keeps the lock renewed.
 */
export const takeOver = async (
  context: WriterContext,
  term: Term,
  betweenPages: () => Promise<void>,
  signal: AbortSignal,
): Promise<ReadBack> => {
  const { table, clock, bucket } = context;
  const judged = new Map<InstanceKey, Judged>();
  const strays = new Map<InstanceKey, StoredMessage>();
  let keys = 0;
  for await (const page of context.registry.readBack(instanceFilters(bucket), signal)) {
    for (let start = 0; start < page.length; start += SLICE) {
      for (const message of page.slice(start, start + SLICE)) {
        const key = parseInstanceKey(message.subject.slice(`$KV.${bucket}.`.length))?.key;
        if (key === undefined) continue;
        const row = table.get(key);
        const ownerUid = ownerUidOf(message, context.operatorId);
        // A subject that is written meanwhile comes twice; the later message counts.
        judged.delete(key);
        strays.delete(key);
        if (row === undefined || (ownerUid !== undefined && ownerUid !== row.wish.pod.uid)) strays.set(key, message);
        else {
          const { pod } = row.wish;
          judged.set(key, { uid: pod.uid, observed: judge(message, pod, judgeContext(context, term)) });
        }
        keys += 1;
      }
      await clock.yield();
    }
    await betweenPages();
  }
  keepIds(context, strays, judged);
  const lapsed = settleRows(context, term, judged, strays);
  // From here on the table sees to it that a key gets its farewell. Pods that went before left keys without a row.
  const left = [...judged].flatMap(([key, { observed }]) =>
    observed.kind === 'ours' && table.get(key) === undefined ? key : [],
  );
  for (let start = 0; start < left.length; start += SLICE) {
    const some = left.slice(start, start + SLICE);
    const messages = await context.registry.read(
      some.map((key) => subjectOf(bucket, key)),
      signal,
    );
    some.forEach((key, index) => {
      const message = messages[index];
      if (message !== undefined) strays.set(key, message);
    });
    await betweenPages();
  }
  return { keys, ...adoptOrphans(context, strays, term), lapsed };
};

/** The table begins to schedule with what was read. Returns how many keys were lost since they were last seen. */
const settleRows = (
  context: WriterContext,
  term: Term,
  judged: ReadonlyMap<InstanceKey, Judged>,
  strays: Map<InstanceKey, StoredMessage>,
): number => {
  const { table, observer } = context;
  let lapsed = 0;
  const conflicts: Row[] = [];
  const observedOf = (row: Row): Observed => {
    const known = judged.get(row.key);
    if (known !== undefined && known.uid === row.wish.pod.uid) return known.observed;
    const message = strays.get(row.key);
    strays.delete(row.key);
    // A row that passed to another pod meanwhile is asked for once more.
    if (known !== undefined) return { kind: 'unknown' };
    if (message === undefined) return { kind: 'none', revision: 0 };
    table.endGrace(row);
    return judge(message, row.wish.pod, judgeContext(context, term));
  };
  table.lead((row) => {
    const before = row.observed.kind;
    const observed = observedOf(row);
    if (row.wish.state.kind === 'live') {
      if (before === 'ours' && observed.kind === 'none') lapsed += 1;
      if (before !== 'foreign' && observed.kind === 'foreign') conflicts.push(row);
    }
    return observed;
  });
  if (lapsed > 0) observer.lapsedMeanwhile(lapsed);
  for (const row of conflicts) observer.conflict(row);
  return lapsed;
};

/** The pod a value of ours was written for; undefined for markers and what others wrote. */
const ownerUidOf = (message: StoredMessage, operatorId: string): string | undefined => {
  if (message.operation !== 'PUT') return undefined;
  const owner = parseOwner(message.headers['Rollcall-Owner'] ?? '');
  return owner?.operatorId === operatorId ? owner.uid : undefined;
};

/**
 * A pod keeps for its whole life the id under which its key stands. Where UIDs begin alike, this replica may have given
 * the ids out differently; what the registry holds wins.
 */
const keepIds = (
  context: WriterContext,
  strays: ReadonlyMap<InstanceKey, StoredMessage>,
  judged: ReadonlyMap<InstanceKey, Judged>,
): void => {
  const settled = new Set<string>();
  const latestFirst = [...strays.values()].toSorted((a, b) => b.revision - a.revision);
  for (const message of latestFirst) {
    const parts = parseInstanceKey(message.subject.slice(`$KV.${context.bucket}.`.length));
    const owner = parseOwner(message.headers['Rollcall-Owner'] ?? '');
    if (parts === undefined || owner === undefined || ownerUidOf(message, context.operatorId) === undefined) continue;
    const rows = context.table.rowsOf(objectKey(owner.namespace, owner.name), owner.uid, parts.serviceName);
    const [row] = rows;
    const pod = `${parts.serviceName}/${owner.uid}`;
    if (row === undefined || row.wish.instanceIdMode !== 'Generated' || settled.has(pod)) continue;
    settled.add(pod);
    const standsAlready = rows.some(({ key }) => {
      const known = judged.get(key);
      return known?.uid === owner.uid && known.observed.kind === 'ours';
    });
    if (row.instanceId !== parts.instanceId && !standsAlready) context.table.assign(row, parts.instanceId);
  }
};

/**
 * Keys of ours whose pods are not in the view get their farewell; or are kept up, while the view is old, or while they
 * are so many that the view may be wrong. Those of pods whose keys have another layout by now retire.
 */
export const adoptOrphans = (
  context: WriterContext,
  strays: ReadonlyMap<InstanceKey, StoredMessage>,
  term: Term,
): Pick<ReadBack, 'orphans' | 'held'> => {
  const { table, log } = context;
  const found: { readonly orphan: Orphan; readonly observed: Observed }[] = [];
  for (const message of strays.values()) {
    const orphan = orphanOf(message, context.bucket, context.operatorId, context.settingsOf);
    if (orphan === undefined || table.get(orphan.key) !== undefined) continue;
    const observed = judge(message, orphan.wish.pod, judgeContext(context, term));
    const { pod, serviceName } = orphan.wish;
    const rows = table.rowsOf(objectKey(pod.namespace, pod.name), pod.uid, serviceName);
    const successor = rows.find(({ instanceId }) => instanceId === orphan.instanceId)?.wish;
    if (successor === undefined) found.push({ orphan, observed });
    else table.adoptRetiring(successor, orphan.instanceId, orphan.form, observed);
  }
  // What this replica saw go is no absence, however much it is.
  const [known, missing] = partition(found, ({ orphan }) => table.hasDeparted(orphan.wish));
  const living = missing.filter(({ observed }) => observed.kind === 'ours' && observed.status !== 'UNHEALTHY').length;
  // Without a view nothing is absent from it.
  const braked = !term.blind && brakeHolds(living, living + table.ours);
  if (braked) log.error({ keys: living }, 'so many keys are of pods that are not to be seen that they are held');
  const hold = braked || term.blind || !context.fresh();
  const leaving = hold ? known : found;
  const held = hold ? missing : [];
  for (const { orphan, observed } of leaving) {
    table.adoptOrphan(orphan.wish, orphan.instanceId, orphan.form, observed);
  }
  for (const { orphan, observed } of held) {
    table.adoptUnseen(orphan.wish, orphan.instanceId, orphan.form, observed, braked ? CONFIRM_AFTER_MS : 0);
  }
  return { orphans: leaving.length, held: held.length };
};

const partition = <T>(all: readonly T[], test: (one: T) => boolean): readonly [readonly T[], readonly T[]] => [
  all.filter(test),
  all.filter((one) => !test(one)),
];
