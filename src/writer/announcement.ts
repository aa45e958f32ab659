// Replicas tell each other how well they see the cluster, so that a leader with an old view can yield to one with a
// fresher. A message per replica, TTL 6 s, on `$ROLLCALL.{bucket}.{operatorId}.replica.{id}`: the only one that is written
// outside a batch. Nothing is decided by it but who should lead; who does is the lock's.

import type { WriterContext } from './context.ts';
import { lockSubject, type Term } from './lock.ts';
import { RegistryError, type StoredMessage } from './registry.ts';

const EVERY_MS = 2_000;
const TTL_SECONDS = 6;
/** A leader with a view older than this yields to a replica whose view is so much fresher: clearly better, not a little. */
const OLD_MS = 15_000;
const FRESHER_BY_MS = 10_000;

const AGE_HEADER = 'Rollcall-View-Age';

export const replicaSubject = (context: Pick<WriterContext, 'bucket' | 'operatorId' | 'replicaId'>): string =>
  `${subjectStem(context)}${context.replicaId.replace(/[^A-Za-z0-9_-]/g, '-')}`;

const subjectStem = ({ bucket, operatorId }: Pick<WriterContext, 'bucket' | 'operatorId'>): string =>
  lockSubject(bucket, operatorId).replace(/lock$/, 'replica.');

/** Announces this replica until the signal aborts. */
export const announce = async (context: WriterContext, signal: AbortSignal): Promise<void> => {
  const subject = replicaSubject(context);
  while (!signal.aborted) {
    // A replica that has not listed the cluster has nothing to lead with.
    const age = context.knowledge() === 'complete' ? `${AGE_HEADER}: ${Math.round(context.viewAgeMs())}\r\n` : '';
    context.registry.announce({
      subject,
      ttlSeconds: TTL_SECONDS,
      headerLines: `Rollcall-Version: ${context.version}\r\n${age}`,
    });
    await context.clock.sleep(EVERY_MS, signal);
  }
};

/** Resolves with the subject of a replica that sees so much more that this one should not lead, or when the signal aborts. */
export const awaitFresher = async (
  context: WriterContext,
  term: Term,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const { clock, registry } = context;
  const own = replicaSubject(context);
  while (!signal.aborted) {
    await clock.sleep(EVERY_MS, signal);
    if (signal.aborted || context.viewAgeMs() <= OLD_MS) continue;
    try {
      let found: string | undefined;
      // To its end: a reading that is broken off says that it was too fast.
      for await (const page of registry.readBack([`${subjectStem(context)}*`], signal)) {
        const nowMs = clock.monotonicMs();
        const known = page.map((message) => ({
          subject: message.subject,
          ageMs: announcedAgeMs(message, term.serverEpochMs + nowMs),
        }));
        const fresher = known.find(
          ({ subject, ageMs }) =>
            subject !== own && Number.isFinite(ageMs) && ageMs + FRESHER_BY_MS <= context.viewAgeMs(),
        );
        found ??= fresher?.subject;
      }
      if (found !== undefined) return found;
    } catch (error) {
      // What is wrong with the registry is for the term to notice.
      if (!(error instanceof RegistryError)) throw error;
    }
  }
  return undefined;
};

/** By now; Infinity: it sees nothing. */
const announcedAgeMs = ({ operation, headers, storedAtMs }: StoredMessage, serverWallMs: number): number => {
  const text = operation === 'PUT' ? headers[AGE_HEADER] : undefined;
  if (text === undefined || !/^\d+$/.test(text)) return Number.POSITIVE_INFINITY;
  return Number(text) + Math.max(0, serverWallMs - storedAtMs);
};
