// The headers of our messages, for ourselves to read back; readers need none of them. Not the TTL header, which
// belongs to the protocol and is the adapter's.

import type { PodRef } from './instance.ts';

const OWNER_HEADER = 'Rollcall-Owner';
const TERM_HEADER = 'Rollcall-Term';
const SCHEMA_HEADER = 'Rollcall-Schema';
const REASON_HEADER = 'Rollcall-Reason';

export type WriteReason =
  | 'Registered'
  | 'Refresh'
  | 'NotReady'
  | 'Terminating'
  | 'Deselected'
  | 'RoleChange'
  | 'SpecChange'
  | 'Handover';

/** Which installation wrote a key, and for which pod incarnation. */
export type Owner = PodRef & { readonly operatorId: string };

const isOperatorId = (text: string): boolean => /^[a-z0-9][a-z0-9-]{0,62}$/.test(text);

/** `{operatorId}/{namespace}/{pod}/{podUid}`. The UID alone can be any text, so it is percent-encoded. */
export const ownerHeader = (operatorId: string, pod: PodRef): string =>
  `${operatorId}/${encodeText(pod.namespace)}/${encodeText(pod.name)}/${encodeText(pod.uid)}`;

/** Undefined for whatever `ownerHeader` cannot have made. */
export const parseOwner = (text: string): Owner | undefined => {
  const [operatorId, namespace, name, uid, ...rest] = text.split('/').map(decodeText);
  if (operatorId === undefined || !isOperatorId(operatorId) || rest.length > 0) return undefined;
  if (!namespace || !name || !uid) return undefined;
  return { operatorId, namespace, name, uid };
};

/** The header lines of one message, each ended by CRLF. */
export const instanceHeaders = (operatorId: string, pod: PodRef, term: number, reason: WriteReason): string =>
  `${OWNER_HEADER}: ${ownerHeader(operatorId, pod)}\r\n${TERM_HEADER}: ${term}\r\n` +
  `${SCHEMA_HEADER}: 1\r\n${REASON_HEADER}: ${reason}\r\n`;

/** What `encodeURIComponent` leaves as it is, and so nearly every name and UID: asking costs half of encoding. */
const PLAIN = /^[\w.~-]*$/;

const encodeText = (text: string): string => (PLAIN.test(text) ? text : encodeURIComponent(text.toWellFormed()));

const decodeText = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
};
