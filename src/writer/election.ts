// Waits until the lock is free and takes it. No keys are written here; the term this returns is what writing needs.

import type { Wakeup } from '../wakeup.ts';
import type { WriterContext } from './context.ts';
import { claimOf, lockSubject, renewal, type Term, UNSTOPPABLE } from './lock.ts';
import { type BucketReport, RegistryError, type RejectReason } from './registry.ts';

/** The lock's lapse and release ring a bell; this is how often it is looked at all the same. */
const LOOK_EVERY_MS = 1_000;
/** A replica whose view is old, or that has none, leaves the lock to one that sees more for this long after it became free. */
const DEFER_MS = 3_000;
/** After trouble: full jitter below this, so that replicas do not march in step. */
const BACKOFF_MS = 1_000;

export type ElectionListener = {
  bucket(report: BucketReport): void;
  holder(replicaId: string | undefined): void;
  trouble(description: string): void;
  rejected(reason: RejectReason, description: string): void;
};

/** Returns with a new term, or undefined when the signal aborts. */
export const elect = async (
  context: WriterContext,
  bell: Wakeup,
  listener: ElectionListener,
  signal: AbortSignal,
): Promise<Term | undefined> => {
  const deferral: Deferral = { untilMs: undefined };
  while (!signal.aborted) {
    const waitMs = await tryOnce(context, listener, deferral, signal);
    if (typeof waitMs !== 'number') return waitMs;
    await bell.wait(waitMs, signal);
  }
  return undefined;
};

/** When a replica with an old view stops leaving a free lock to others; undefined while the lock is held. */
type Deferral = { untilMs: number | undefined };

/** A term, or how many ms to wait before the next try. */
const tryOnce = async (
  context: WriterContext,
  listener: ElectionListener,
  deferral: Deferral,
  signal: AbortSignal,
): Promise<Term | number> => {
  const { registry, clock, replicaId } = context;
  const backoffMs = 100 + context.random() * BACKOFF_MS;
  const subject = lockSubject(context.bucket, context.operatorId);
  try {
    const before = await registry.inspect(signal);
    listener.bucket(before);
    if (before.kind !== 'usable') return backoffMs;
    if (context.knowledge() === 'gathering') return 100;
    const [message] = await registry.read([subject], signal);
    const claim = claimOf(message, replicaId);
    if (claim.kind === 'held') {
      listener.holder(claim.holder);
      deferral.untilMs = undefined;
      return LOOK_EVERY_MS;
    }
    listener.holder(undefined);
    deferral.untilMs ??= clock.monotonicMs() + DEFER_MS;
    const seesAll = context.knowledge() === 'complete' && context.fresh();
    if (!seesAll && clock.monotonicMs() < deferral.untilMs) return LOOK_EVERY_MS;
    // After the look at the lock: were it taken and released in between, our claim on its revision would be refused,
    // so no earlier term can have a number that is not smaller.
    const report = await registry.inspect(signal);
    if (report.kind !== 'usable') return backoffMs;
    // It may have been listed meanwhile: who leads without a view is not to know half of one.
    if (signal.aborted || context.knowledge() === 'gathering') return 0;
    const blind = context.knowledge() === 'none';
    const number = report.lastRevision;
    const sentAtMs = clock.monotonicMs();
    const outcome = await registry.commit([renewal(subject, claim.expectedRevision, replicaId, number)], UNSTOPPABLE);
    if (outcome.kind !== 'committed') {
      if (outcome.kind === 'conflict') return 0;
      if (outcome.kind === 'rejected') listener.rejected(outcome.reason, outcome.description);
      else listener.trouble(outcome.description);
      return backoffMs;
    }
    const lockRevision = outcome.lastRevision;
    const stored = await registry.readRevision(lockRevision, UNSTOPPABLE);
    const readAtMs = clock.monotonicMs();
    if (stored === undefined) return 0;
    return {
      number,
      incarnation: report.incarnation,
      lockRevision,
      renewedAtMs: sentAtMs,
      serverEpochMs: stored.storedAtMs - readAtMs,
      blind,
    };
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    listener.trouble(error.message);
    return backoffMs;
  }
};
