// The start of a term: with the lock held, every key under the prefix is read back, so that the table knows each
// revision and what nobody wishes for any more. The lock is renewed while this goes on.

import { brakeHolds } from '../domain/brake.ts';
import type { InstanceKey } from '../domain/instance.ts';
import { generatedInstanceId, parseInstanceKey } from '../domain/names.ts';
import { objectKey } from '../domain/pod.ts';
import { parseOwner } from '../domain/service-instance.ts';
import { inSlices, type Pause, SLICE } from '../slices.ts';
import type { Departure } from '../table/departed.ts';
import { isOverdue, type Observed, type Row } from '../table/row.ts';
import { instanceFilters, subjectOf } from './batch-plan.ts';
import { judgeContext } from './commit.ts';
import type { WriterContext } from './context.ts';
import { judge } from './judge.ts';
import { RENEW_EVERY_MS, type Term } from './lock.ts';
import { type Orphan, orphanOf } from './orphan.ts';
import { RegistryError, type StoredMessage } from './registry.ts';

/** A server expires a value within a second or two of its TTL's end. */
const OUTLIVED_AFTER_MS = 10_000;
/** How far a server's clock may be off what was measured of it. */
const CLOCK_SLACK_MS = 100;

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
 * Reads the stream back into the table and begins to schedule. In slices, so that the event loop turns and `renewLock`,
 * which does something only when the lock's renewal is due, is called often enough however many keys there are. The
 * reconcilers change the table between two slices.
 */
export const takeOver = async (
  context: WriterContext,
  term: Term,
  renewLock: () => Promise<void>,
  signal: AbortSignal,
): Promise<ReadBack> => {
  const { table, clock, bucket, registry } = context;
  const pause: Pause = async () => {
    await clock.yield();
    if (signal.aborted) throw new RegistryError('transient', 'stopped');
    await renewLock();
  };
  // Both in the order of revisions.
  const judged = new Map<InstanceKey, Judged>();
  const strays = new Map<InstanceKey, StoredMessage>();
  let keys = 0;
  for await (const page of pagesOf(context, renewLock, signal)) {
    await inSlices(page, pause, (message) => {
      const key = parseInstanceKey(message.subject.slice(`$KV.${bucket}.`.length))?.key;
      if (key === undefined) return;
      const row = table.get(key);
      const ownerUid = ownerUidOf(message, context.operatorId);
      // A subject that is written meanwhile comes twice; the later message counts.
      judged.delete(key);
      strays.delete(key);
      if (row === undefined || (ownerUid !== undefined && ownerUid !== row.wish.pod.uid)) {
        // What only a crashed server brought back stands nowhere else: nothing is kept up for it. The audit covers it.
        if (!hasOutlived(message, context, term)) strays.set(key, message);
      } else {
        const { pod } = row.wish;
        judged.set(key, { uid: pod.uid, observed: judge(message, pod, judgeContext(context, term)) });
      }
      keys += 1;
    });
    await pause();
  }
  await keepIds(context, strays, judged, pause);
  const lapsed = await settleRows(context, term, judged, strays, pause);
  // From here on the table sees to it that a key gets its farewell. Pods that went before left keys without a row.
  const left: InstanceKey[] = [];
  await inSlices(judged, pause, ([key, { observed }]) => {
    if (observed.kind === 'ours' && table.get(key) === undefined) left.push(key);
  });
  for (let start = 0; start < left.length; start += SLICE) {
    const some = left.slice(start, start + SLICE);
    const messages = await registry.read(
      some.map((key) => subjectOf(bucket, key)),
      signal,
    );
    some.forEach((key, index) => {
      const message = messages[index];
      if (message !== undefined) strays.set(key, message);
    });
    await pause();
  }
  return { keys, ...(await adoptOrphans(context, strays, term, pause)), lapsed };
};

/**
 * What is under the prefix, in pages. The lock is renewed while the registry lets us wait for one: a cluster that has lost
 * the leader of its metadata makes no consumer for seconds.
 */
async function* pagesOf(
  { registry, clock, bucket }: WriterContext,
  renewLock: () => Promise<void>,
  signal: AbortSignal,
): AsyncGenerator<readonly StoredMessage[]> {
  const over = new AbortController();
  const read = registry.readBack(instanceFilters(bucket), AbortSignal.any([signal, over.signal]));
  const pages = read[Symbol.asyncIterator]();
  try {
    for (;;) {
      const coming = pages.next();
      const here = new AbortController();
      coming.catch(() => undefined).finally(() => here.abort());
      while (!here.signal.aborted) {
        await clock.sleep(RENEW_EVERY_MS / 2, here.signal);
        if (!here.signal.aborted) await renewLock();
      }
      const { value, done } = await coming;
      if (done === true) return;
      yield value;
    }
  } finally {
    over.abort();
    await pages.return?.();
  }
}

/** The table begins to schedule with what was read. Returns how many keys were lost since they were last seen. */
const settleRows = async (
  context: WriterContext,
  term: Term,
  judged: Map<InstanceKey, Judged>,
  strays: Map<InstanceKey, StoredMessage>,
  pause: Pause,
): Promise<number> => {
  const { table, observer, clock } = context;
  let lapsed = 0;
  const conflicts: Row[] = [];
  const missing: Row[] = [];
  const observedOf = (row: Row): Observed => {
    const known = judged.get(row.key);
    if (known !== undefined && known.uid === row.wish.pod.uid) return known.observed;
    const message = strays.get(row.key);
    strays.delete(row.key);
    // A row that passed to another pod meanwhile is asked for once more.
    if (known !== undefined) return { kind: 'unknown' };
    if (message === undefined) return { kind: 'none', revision: 0 };
    table.endGrace(row);
    const { pod } = row.wish;
    const observed = judge(message, pod, judgeContext(context, term));
    // Should the row leave before the table leads, its key is one of those left.
    judged.set(row.key, { uid: pod.uid, observed });
    return observed;
  };
  const see = (row: Row): Observed => {
    const before = row.observed.kind;
    const observed = observedOf(row);
    if (row.wish.state.kind === 'live') {
      if (before === 'ours' && observed.kind === 'none') lapsed += 1;
      if (observed.kind === 'none' && isOverdue(row, clock.monotonicMs())) missing.push(row);
      if (before !== 'foreign' && observed.kind === 'foreign') conflicts.push(row);
    }
    return observed;
  };
  await table.lead(see, pause, judged.keys());
  if (missing.length > 0 || lapsed > 0) observer.missing(missing, lapsed);
  await inSlices(conflicts, pause, (row) => observer.conflict(row));
  return lapsed;
};

/** It was stored after the view of its namespace was last proven right, by the server's clock. */
const isNewsOf = (
  namespace: string,
  { storedAtMs }: StoredMessage,
  { provenAtMs }: WriterContext,
  { serverEpochMs }: Term,
): boolean => storedAtMs + CLOCK_SLACK_MS > serverEpochMs + provenAtMs(namespace);

/** A value whose TTL is long over. */
export const hasOutlived = (
  { operation, storedAtMs, ttlSeconds }: StoredMessage,
  context: WriterContext,
  term: Term,
): boolean =>
  operation === 'PUT' &&
  ttlSeconds !== undefined &&
  judgeContext(context, term).serverWallMs > storedAtMs + ttlSeconds * 1_000 + OUTLIVED_AFTER_MS;

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
const keepIds = async (
  context: WriterContext,
  strays: ReadonlyMap<InstanceKey, StoredMessage>,
  judged: ReadonlyMap<InstanceKey, Judged>,
  pause: Pause,
): Promise<void> => {
  const settled = new Set<string>();
  const latestFirst = [...strays.values()].reverse();
  await inSlices(latestFirst, pause, (message) => {
    const parts = parseInstanceKey(message.subject.slice(`$KV.${context.bucket}.`.length));
    const owner = parseOwner(message.headers['Rollcall-Owner'] ?? '');
    if (parts === undefined || owner === undefined || ownerUidOf(message, context.operatorId) === undefined) return;
    const rows = context.table.rowsOf(objectKey(owner.namespace, owner.name), owner.uid, parts.serviceName);
    const [row] = rows;
    const pod = `${parts.serviceName}/${owner.uid}`;
    if (row === undefined || row.wish.instanceIdMode !== 'Generated' || settled.has(pod)) return;
    settled.add(pod);
    const standsAlready = rows.some(({ key }) => {
      const known = judged.get(key);
      return known?.uid === owner.uid && known.observed.kind === 'ours';
    });
    if (row.instanceId === parts.instanceId || standsAlready) return;
    // What stands under the pod's name is of an earlier `instanceId: PodName`.
    const given = ([8, 16] as const).map((digits) => generatedInstanceId(parts.serviceName, owner.uid, digits));
    if (given.includes(parts.instanceId)) context.table.assign(row, parts.instanceId);
  });
};

/**
 * Keys of ours whose pods are not in the view get their farewell; or are kept up, while the view is old, or while they
 * are so many that the view may be wrong. Those of pods whose keys have another layout by now retire.
 */
export const adoptOrphans = async (
  context: WriterContext,
  strays: ReadonlyMap<InstanceKey, StoredMessage>,
  term: Term,
  pause: Pause,
): Promise<Pick<ReadBack, 'orphans' | 'held'>> => {
  const { table, log } = context;
  const found: {
    readonly orphan: Orphan;
    readonly observed: Observed;
    readonly departure: Departure | undefined;
    /** Its pod is there, and has another key by now. */
    readonly isReplaced: boolean;
    /** The view is older than what stands: its pod may have come since. */
    readonly isNews: boolean;
    /** Its namespace may not be read, while others can: nobody is absent from that. */
    readonly isUnread: boolean;
  }[] = [];
  let living = 0;
  await inSlices(strays, pause, ([key, message]) => {
    const row = table.get(key);
    if (row !== undefined) return tellNewcomer(context, term, row, message);
    const orphan = orphanOf(message, context.bucket, context.operatorId, context.settingsOf);
    if (orphan === undefined) return;
    const observed = judge(message, orphan.wish.pod, judgeContext(context, term));
    const { pod, serviceName } = orphan.wish;
    const rows = table.rowsOf(objectKey(pod.namespace, pod.name), pod.uid, serviceName);
    const successor = rows.find(({ instanceId }) => instanceId === orphan.instanceId)?.wish;
    if (successor !== undefined) return table.adoptRetiring(successor, orphan.instanceId, orphan.form, observed);
    // What this replica saw go is no absence, however much it is.
    const departure = table.departedAs(orphan.wish);
    const isReplaced = rows.length > 0;
    const isUnread = context.isUnread(pod.namespace);
    const isAbsent = departure === undefined && !isReplaced && !isUnread && !(orphan.frozen && context.sees(pod));
    if (isAbsent && observed.kind === 'ours' && observed.status !== 'UNHEALTHY') living += 1;
    const isNews = isNewsOf(pod.namespace, message, context, term);
    found.push({ orphan, observed, departure, isReplaced, isNews, isUnread });
  });
  // Without a view nothing is absent from it.
  const braked = !term.blind && brakeHolds(living, living + table.ours);
  if (braked) {
    log.error({ keys: living }, 'so many keys are of pods that are not to be seen that they are held');
    context.doubt();
  }
  const hold = braked || term.blind || !context.fresh();
  let orphans = 0;
  let held = 0;
  await inSlices(found, pause, ({ orphan, observed, departure, isReplaced, isNews, isUnread }) => {
    const { key, wish, instanceId, form, frozen } = orphan;
    const row = table.get(key);
    if (row !== undefined) return tellNewcomer(context, term, row, strays.get(key));
    // What was left out when the view was fresh may be taken in by now.
    const isDecided =
      departure?.gone === true || ((departure !== undefined || (isReplaced && !isNews)) && context.fresh());
    if ((hold || isNews || isUnread || frozen) && !isDecided) {
      table.adoptUnseen(wish, instanceId, form, observed, braked && !isUnread ? 'list' : 'proof');
      held += 1;
    } else {
      const { whenNotReady } = departure ?? wish;
      table.adoptOrphan({ ...wish, whenNotReady }, instanceId, form, observed);
      orphans += 1;
    }
  });
  return { orphans, held };
};

/** The row came after its key was read, and may know nothing of it yet: its first write would be refused. */
const tellNewcomer = (context: WriterContext, term: Term, row: Row, message: StoredMessage | undefined): void => {
  const { observed, inFlight, wish } = row;
  if (message === undefined || inFlight || observed.kind !== 'none' || observed.revision >= message.revision) return;
  context.table.observe(row, judge(message, wish.pod, judgeContext(context, term)));
};
