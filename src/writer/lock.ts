// The lock: one subject per installation in the registry's own stream, renewed by the first message of every batch.
// Holding it and writing keys are therefore one transaction, and a batch that expects an older lock is refused whole.
// This file has the lock's shape and who may take it; the loop that does is `writer.ts`.

import type { BatchMessage, Revision, StoredMessage } from './registry.ts';

/** The lock lapses this long after its last renewal. */
export const LOCK_TTL_SECONDS = 6;
/** A leader that writes nothing renews the lock alone this often. */
export const RENEW_EVERY_MS = 2_000;
/** A leader stops sending this long after it sent its last acknowledged renewal: 2 s before anybody else may lead. */
export const FENCE_MS = 4_000;

/**
 * For what must not be left half done when a replica is told to stop: a batch without an answer may have moved the
 * lock, which then cannot be released. It has a timeout of its own.
 */
export const UNSTOPPABLE = new AbortController().signal;

/**
 * One leadership, from the batch that took the lock to the first refusal, doubt or silence. `number` is the stream's
 * last revision read just before the lock was taken, so larger than every earlier term of the same stream.
 */
export type Term = {
  readonly number: Revision;
  /** The stream's creation time; terms of another incarnation cannot be compared with this one. */
  readonly incarnation: string;
  /** The lock's last revision: what the next batch expects. */
  lockRevision: Revision;
  /** Monotonic ms when the last acknowledged renewal was sent. */
  renewedAtMs: number;
  /** The server's wall clock minus our monotonic one, from the lock's own message until that clock is set: dates messages. */
  serverEpochMs: number;
  /** Taken without knowing the cluster: what stands is kept up, and nothing else is written. */
  readonly blind: boolean;
};

export const lockSubject = (bucket: string, operatorId: string): string => `$ROLLCALL.${bucket}.${operatorId}.lock`;

/** Who may take the lock, given its last message. `held`: somebody else has it. */
export type LockClaim =
  | { readonly kind: 'free'; readonly expectedRevision: Revision }
  | { readonly kind: 'held'; readonly holder: string };

export const claimOf = (message: StoredMessage | undefined, replicaId: string): LockClaim => {
  if (message === undefined) return { kind: 'free', expectedRevision: 0 };
  if (message.operation !== 'PUT') return { kind: 'free', expectedRevision: message.revision };
  const holder = holderOf(message);
  // Our own lock of a term we gave up: taking it again fences whatever of that term is still under way.
  return holder === replicaId ? { kind: 'free', expectedRevision: message.revision } : { kind: 'held', holder };
};

/** The replica that wrote a lock message. */
export const holderOf = (message: StoredMessage): string => message.headers['Rollcall-Holder'] ?? 'unknown';

export const renewal = (
  subject: string,
  expectedRevision: Revision,
  replicaId: string,
  term: Revision,
): BatchMessage => ({
  subject,
  expectedRevision,
  ttlSeconds: LOCK_TTL_SECONDS,
  operation: 'PUT',
  headerLines: `Rollcall-Holder: ${replicaId}\r\nRollcall-Term: ${term}\r\nRollcall-Schema: 1\r\n`,
  body: NO_BODY,
});

export const release = (
  subject: string,
  expectedRevision: Revision,
  replicaId: string,
  term: Revision,
): BatchMessage => ({
  ...renewal(subject, expectedRevision, replicaId, term),
  ttlSeconds: 1,
  operation: 'PURGE',
});

const NO_BODY = new Uint8Array(0);
