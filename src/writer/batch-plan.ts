// From the writes the table hands out to the messages of a batch: subject, headers, the value with its heartbeat.
// Pure but for the text it encodes. One batch is the lock's renewal and at most 499 keys.

import { KEY_PREFIX, type KeyForm } from '../domain/names.ts';
import { encodeInstance, formatTimestamp, type HeartbeatOffset, instanceHeaders } from '../domain/service-instance.ts';
import type { Write } from '../table/write.ts';
import type { BatchMessage, Revision } from './registry.ts';

/** A batch holds at most 1,000 messages; half of it keeps a batch's time, and so an urgent row's wait, short. */
export const KEYS_PER_BATCH = 499;
/** How long the marker of a removed key stays, so that watchers that were away for less than it are told. */
const REMOVAL_MARKER_SECONDS = 60;

/** `write` with the term of its role, where it gives one. */
export type KeyMessage = { readonly write: Write; readonly message: BatchMessage; readonly heartbeatMs: number };

export type PlanContext = {
  readonly bucket: string;
  readonly operatorId: string;
  readonly offset: HeartbeatOffset;
  readonly term: Revision;
  /** The term of a role in a sticky group that is given by this batch: larger than by any before. */
  readonly promotion: number;
  readonly wallMs: number;
  /** `wallMs` as it is printed: nearly all keys of a batch share it. */
  readonly wallText: string;
};

export const planKey = (taken: Write, context: PlanContext): KeyMessage => {
  const write = taken.promotes ? promotionOf(taken, context.promotion) : taken;
  const { row } = write;
  // Strictly increasing per key, also when the wall clock was set back.
  const heartbeatMs = Math.max(context.wallMs, row.heartbeatMs + 1);
  const heartbeat = heartbeatMs === context.wallMs ? context.wallText : formatTimestamp(heartbeatMs, context.offset);
  const purge = write.operation === 'PURGE';
  return {
    write,
    heartbeatMs,
    message: {
      subject: subjectOf(context.bucket, row.key),
      expectedRevision: write.expectedRevision,
      ttlSeconds: purge ? REMOVAL_MARKER_SECONDS : write.ttlMs / 1_000,
      operation: write.operation,
      headerLines: instanceHeaders(context.operatorId, write.wish.pod, context.term, write.reason),
      body: purge ? NO_BODY : Buffer.from(write.text.head + heartbeat + write.text.tail),
    },
  };
};

const promotionOf = (write: Write, term: number): Write => ({
  ...write,
  text: encodeInstance(write.wish.content, write.row.instanceId, write.status, term),
  active: write.active === undefined ? undefined : { ...write.active, term },
});

export const subjectOf = (bucket: string, key: string): string => `$KV.${bucket}.${key}`;

/** The narrowest right that covers all keys of a form. */
export const subjectRight = (bucket: string, form: KeyForm): string =>
  subjectOf(bucket, form === 'Dotted' ? `${KEY_PREFIX}.*.*` : '*');

/**
 * All instance keys of the bucket, whatever layout is or was in force. The keys that are one token stand among keys of
 * others, which no filter can leave out.
 */
export const instanceFilters = (bucket: string): readonly string[] => [
  `$KV.${bucket}.${KEY_PREFIX}.>`,
  `$KV.${bucket}.*`,
];

const NO_BODY = new Uint8Array(0);
