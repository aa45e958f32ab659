// Sends one batch of a term and says how to settle its rows. A refusal is taken apart here: which subject was it, is the term
// lost, and what of the rest can be written at once. The term itself ends in `writer.ts`.

import type { Refusal } from '../domain/registration-status.ts';
import { formatTimestamp } from '../domain/service-instance.ts';
import type { Observed, Row } from '../table/row.ts';
import type { Write } from '../table/write.ts';
import { type KeyMessage, type PlanContext, planKey, subjectOf, subjectRight } from './batch-plan.ts';
import type { WriterContext } from './context.ts';
import { refusalReason } from './health.ts';
import { type JudgeContext, judge } from './judge.ts';
import { lockSubject, renewal, type Term, UNSTOPPABLE } from './lock.ts';
import type { BatchMessage, CommitOutcome, RejectReason, Revision, StoredMessage } from './registry.ts';

export const LOCK_GONE = 'the lock was taken by another replica or removed';

export type CommitResult =
  /** All of it is stored, but for what was taken out. The rows wait for `settle`, in flight until then. */
  | { readonly kind: 'stored'; readonly settle: () => void }
  /** Nothing was written; the rows wait to be taken again. */
  | { readonly kind: 'retry'; readonly description: string }
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly description: string }
  /** The lock is not as we left it, or an outcome is unknown: only a new term can tell what is in the stream. */
  | { readonly kind: 'over'; readonly why: string };

/**
 * Renews the lock and writes the rows taken; rows that others changed meanwhile are judged and taken out. `planned`: the
 * messages of the rows, when they were made before. `meanwhile` is called once, while the server works.
 */
export const commitWrites = async (
  context: WriterContext,
  term: Term,
  taken: readonly Write[],
  signal: AbortSignal,
  {
    planned,
    meanwhile,
  }: { readonly planned?: readonly KeyMessage[] | undefined; readonly meanwhile?: (() => void) | undefined } = {},
): Promise<CommitResult> => {
  let writes = context.table.withoutTorn(taken);
  let keys = writes === taken && planned !== undefined ? planned : planKeys(context, term, writes);
  // Each refusal takes at least one row out, the second one all that changed: three rounds settle any batch.
  let refusals = 0;
  let sends = 0;
  for (;;) {
    const lock = renewal(
      lockSubject(context.bucket, context.operatorId),
      term.lockRevision,
      context.replicaId,
      term.number,
    );
    const { outcome, sentAtMs } = await send(context, lock, keys, sends === 0 ? meanwhile : undefined);
    sends += 1;
    switch (outcome.kind) {
      case 'committed':
        return { kind: 'stored', settle: stored(context, term, keys, outcome.lastRevision, sentAtMs) };
      case 'retry':
        context.table.release(writes);
        return { kind: 'retry', description: outcome.description };
      case 'rejected': {
        const left = takeOutRefused(context, writes, outcome);
        if (left === undefined) {
          context.table.release(writes);
          return outcome;
        }
        writes = context.table.withoutTorn(left);
        keys = planKeys(context, term, writes);
        break;
      }
      case 'unknown':
        return { kind: 'over', why: `outcome of a batch unknown: ${outcome.description}` };
      case 'conflict': {
        if (refusals >= 3) return { kind: 'over', why: 'a batch was refused again and again' };
        const left = await takeOutChanged(context, term, writes, refusals === 0 ? outcome.actualRevision : 0, signal);
        if (left === undefined) return { kind: 'over', why: LOCK_GONE };
        refusals += 1;
        writes = context.table.withoutTorn(left);
        keys = planKeys(context, term, writes);
      }
    }
  }
};

const send = async (
  context: WriterContext,
  lock: BatchMessage,
  keys: readonly KeyMessage[],
  meanwhile: (() => void) | undefined,
): Promise<{ outcome: CommitOutcome; sentAtMs: number }> => {
  const sentAtMs = context.clock.monotonicMs();
  const answered = context.budget.spend(1 + keys.length);
  const [outcome] = await Promise.all([
    context.registry.commit([lock, ...keys.map((key) => key.message)], UNSTOPPABLE),
    // Not before the last bytes are on their way.
    meanwhile && context.clock.yield().then(meanwhile),
  ]);
  answered();
  context.observer.batch(outcome.kind, keys.length, context.clock.monotonicMs() - sentAtMs);
  return { outcome, sentAtMs };
};

/** The lock's part of an acknowledged batch at once, that of its keys when it is asked for. */
const stored = (
  context: WriterContext,
  term: Term,
  keys: readonly KeyMessage[],
  lastRevision: Revision,
  sentAtMs: number,
): (() => void) => {
  // Sequences are consecutive: the lock is the first of 1 + keys messages.
  const lockRevision = lastRevision - keys.length;
  term.lockRevision = lockRevision;
  term.renewedAtMs = sentAtMs;
  const nowMs = context.clock.monotonicMs();
  return () =>
    keys.forEach(({ write, heartbeatMs }, index) => {
      context.observer.written(write);
      context.table.written(write, lockRevision + 1 + index, heartbeatMs, nowMs);
    });
};

/** A key that cannot be stored is no reason for the others to lapse. Undefined: it is not, or not only, for some keys. */
const takeOutRefused = (
  { table, log, bucket }: WriterContext,
  writes: readonly Write[],
  { reason, description, subjects = [], descriptions = [] }: Extract<CommitOutcome, { kind: 'rejected' }>,
): readonly Write[] | undefined => {
  const refused = new Set(subjects);
  const isRefused = ({ row }: Write) => refused.has(subjectOf(bucket, row.key));
  const faulty = writes.filter(isRefused);
  if (faulty.length === 0 || faulty.length < refused.size) return undefined;
  const said = new Map(subjects.map((subject, index) => [subject, descriptions[index] ?? description]));
  const sentence = (row: Row) =>
    reason === 'Denied' ? deniedSentence(row, bucket) : `${said.get(subjectOf(bucket, row.key)) ?? description}.`;
  const news = faulty.filter((write) => {
    const refusal: Refusal = { reason: refusalReason(reason), message: sentence(write.row) };
    return table.putOff(write, refusal);
  });
  if (news.length > 0) log.warn({ keys: news.length, reason, description }, 'keys cannot be written');
  return writes.filter((write) => !isRefused(write));
};

const deniedSentence = ({ key, form, wish }: Row, bucket: string): string => {
  const may = `The NATS user may not publish to ${subjectOf(bucket, key)}: grant it ${subjectRight(bucket, form)}`;
  return form === 'Dotted' ? `${may}.` : `${may}, which the key layout ${wish.keyLayout} needs.`;
};

/**
 * Finds who changed what a refused batch expected. The server names one subject by its revision; where that does not
 * lead to it (0: the subject is empty), all of the batch's subjects are read. Undefined: it was the lock.
 */
const takeOutChanged = async (
  context: WriterContext,
  term: Term,
  writes: readonly Write[],
  actualRevision: Revision,
  signal: AbortSignal,
): Promise<readonly Write[] | undefined> => {
  const { bucket, registry } = context;
  const lock = lockSubject(bucket, context.operatorId);
  if (actualRevision > 0) {
    const message = await registry.readRevision(actualRevision, signal);
    if (message?.subject === lock) return undefined;
    const changed = writes.find((write) => subjectOf(bucket, write.row.key) === message?.subject);
    if (changed !== undefined) {
      settleChanged(context, term, changed, message);
      return writes.filter((write) => write !== changed);
    }
  }
  const [lockMessage, ...messages] = await registry.read(
    [lock, ...writes.map((write) => subjectOf(bucket, write.row.key))],
    signal,
  );
  if (lockMessage?.revision !== term.lockRevision) return undefined;
  return writes.filter((write, index) => {
    const message = messages[index];
    const unchanged = expectationHolds(write, message);
    if (!unchanged) settleChanged(context, term, write, message);
    return unchanged;
  });
};

const expectationHolds = (write: Write, message: StoredMessage | undefined): boolean =>
  (message?.revision ?? 0) === write.expectedRevision;

const settleChanged = (context: WriterContext, term: Term, write: Write, message: StoredMessage | undefined): void => {
  const observed = judge(message, write.row.wish.pod, judgeContext(context, term));
  learn(context, write.row, observed);
};

/** Puts what the stream was found to hold into the table, and tells what of it is news. */
export const learn = (context: WriterContext, row: Row, observed: Observed): void => {
  const before = row.observed.kind;
  const live = row.wish.state.kind === 'live';
  context.table.observe(row, observed);
  if (before === 'ours' && live && observed.kind === 'none') context.observer.lapsed(row);
  if (before !== 'foreign' && observed.kind === 'foreign') context.observer.conflict(row);
};

/** The messages of these rows, as of now. */
export const planKeys = (context: WriterContext, term: Term, writes: readonly Write[]): readonly KeyMessage[] => {
  const plan = planContext(context, term);
  return writes.map((write) => planKey(write, plan));
};

/** What judging stored messages needs, at this moment of a term. */
export const judgeContext = (context: WriterContext, term: Term): JudgeContext => {
  const nowMs = context.clock.monotonicMs();
  return { operatorId: context.operatorId, nowMs, serverWallMs: term.serverEpochMs + nowMs };
};

/** What planning the messages of a batch needs, at this moment of a term. */
export const planContext = (context: WriterContext, term: Term): PlanContext => {
  const wallMs = context.clock.wallMs();
  return {
    bucket: context.bucket,
    operatorId: context.operatorId,
    offset: context.offset,
    term: term.number,
    promotion: Math.max(term.number, term.lockRevision),
    wallMs,
    wallText: formatTimestamp(wallMs, context.offset),
  };
};
