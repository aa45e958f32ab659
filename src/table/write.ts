// One write of a row, as it is taken for a batch: what the key is to say, and what it must not have become meanwhile.
// Which rows are written when is the table's.

import type { InstanceStatus, Wish } from '../domain/instance.ts';
import type { WriteReason } from '../domain/message-headers.ts';
import { type EncodedInstance, encodeInstance } from '../domain/service-instance.ts';
import type { ActiveRole, GroupKey } from '../domain/sticky.ts';
import type { Revision } from '../writer/registry.ts';
import type { JoinedWrite } from './hand-over.ts';
import { heldTerm, type Observed, promotes, type Row, statusOf } from './row.ts';

export type Write = {
  readonly row: Row;
  readonly operation: 'PUT' | 'PURGE';
  readonly reason: WriteReason;
  /** What the row wanted when it was taken; it may want something else by the time the batch is acknowledged. */
  readonly wish: Wish;
  readonly ttlMs: number;
  readonly text: EncodedInstance;
  readonly status: InstanceStatus;
  /** The key says ACTIVE for a sticky group by this write. */
  readonly active: ActiveRole | undefined;
  /** It did not before: the term of its role is the batch's. */
  readonly promotes: boolean;
  /** The sticky group whose hand-over this is a part of: it is stored whole or not at all. */
  readonly handOver: GroupKey | undefined;
  readonly expectedRevision: Revision;
};

/** What the row wants now, as a write under way; `liveTtlMs`: of a key that is going to be refreshed. */
export const writeOf = ({ row, step, handOver }: JoinedWrite, liveTtlMs: number): Write => {
  const { group, wish, text } = row;
  const status = statusOf(row);
  const isActive = group !== undefined && status === 'ACTIVE' && step.kind === 'write';
  return {
    row,
    operation: step.kind === 'purge' ? 'PURGE' : 'PUT',
    reason: step.reason,
    wish,
    ttlMs: wish.state.kind === 'live' ? liveTtlMs : wish.ttlMs,
    text,
    status,
    active: isActive ? { group, uid: wish.pod.uid, term: heldTerm(row) } : undefined,
    promotes: promotes(row),
    handOver,
    expectedRevision: revisionOf(row.observed),
  };
};

/** What a write of the key has to expect. */
export const revisionOf = (observed: Observed): Revision => (observed.kind === 'unknown' ? 0 : observed.revision);

/** The value as it should read now, without the heartbeat. */
export const textOf = (row: Row): EncodedInstance => {
  const status = statusOf(row);
  const term = status === 'ACTIVE' ? heldTerm(row) : 0;
  return encodeInstance(row.wish.content, row.instanceId, status, term === 0 ? undefined : term);
};

export const NO_TEXT: EncodedInstance = { head: '', tail: '' };
