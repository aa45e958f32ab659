// Whose is what the stream holds under a row's key? Pure. The answer is the observed half of the row.

import type { PodRef } from '../domain/instance.ts';
import type { Owner } from '../domain/message-headers.ts';
import { parseInstance, parseOwner } from '../domain/service-instance.ts';
import { activeRoleOf } from '../domain/sticky.ts';
import type { Observed } from '../table/row.ts';
import type { StoredMessage } from './registry.ts';

export type JudgeContext = {
  readonly operatorId: string;
  /** Monotonic ms now, and the server's wall clock at the same moment: a message's age is by the server's own clock. */
  readonly nowMs: number;
  readonly serverWallMs: number;
};

/**
 * A value bearing our operator id is ours, whichever pod wrote its name into it: the table, not the stream, says which
 * pod has the key now. A value of another operator for the very same pod incarnation is ours once that operator has
 * not written it for half of its TTL (an installation that was renamed or restored). Everything else is somebody's.
 */
export const judge = (message: StoredMessage | undefined, pod: PodRef, context: JudgeContext): Observed => {
  if (message === undefined) return { kind: 'none', revision: 0 };
  const { revision, operation } = message;
  if (operation !== 'PUT') return { kind: 'none', revision, ...(operation === 'MaxAge' ? { isLapse: true } : {}) };
  const ownerText = message.headers['Rollcall-Owner'];
  const owner = ownerText === undefined ? undefined : parseOwner(ownerText);
  const ageMs = Math.max(0, context.serverWallMs - message.storedAtMs);
  const ttlMs = (message.ttlSeconds ?? 0) * 1_000;
  // What has no TTL is none of Rollcall's, whatever its headers say.
  const abandoned = owner?.uid === pod.uid && ttlMs > 0 && ageMs >= ttlMs / 2;
  if (owner === undefined || (owner.operatorId !== context.operatorId && !abandoned)) {
    return { kind: 'foreign', revision: message.revision, owner: ownerSentence(owner, ownerText) };
  }
  const value = parseInstance(message.body);
  return {
    kind: 'ours',
    revision: message.revision,
    // Bytes of ours that no longer read as a value are rewritten: an unhealthy key of a live pod is written at once.
    status: value?.status ?? 'UNHEALTHY',
    active: value === undefined ? undefined : activeRoleOf(value, owner.uid),
    podUid: owner.uid,
    text: undefined,
    ttlMs,
    writtenAtMs: context.nowMs - ageMs,
    heartbeatMs: value?.lastHeartbeatMs ?? 0,
  };
};

/** As people are told whose a key is. */
const ownerSentence = (owner: Owner | undefined, text: string | undefined): string => {
  if (owner !== undefined) return `installation ${owner.operatorId} for pod ${owner.namespace}/${owner.name}`;
  return text === undefined
    ? 'a client without an owner header'
    : `a client with the owner header ${text.slice(0, 100)}`;
};
