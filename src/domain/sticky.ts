// Sticky groups: of the Ready pods of one (service, group) exactly one is ACTIVE, all others STANDBY. Who it is follows
// from the pods and from what the stream holds, so that both replicas come to the same answer. Pure; which writes go
// into one batch is `table/hand-over.ts`'s.
//
// A hand-over is one batch: whatever says ACTIVE for the group is written down first, then the successor up. A member's
// key holds the role when the value stored says ACTIVE for this group and was written for this very pod.
//
//   the key that holds the role                        the role
//   -------------------------------------------------- ----------------------------------------------------------------
//   of a Ready pod                                     stays, also over a change of leader: the read-back tells
//   of a pod not to be seen, kept up (brake)           stays; its pod is given no role, for nobody knows whether it lives
//   not written, because the view is old               stays, and lapses with the key: there is no better knowledge
//   of a pod that went: MarkUnhealthy, Remove          passes in the batch of the farewell
//   the same: Lapse, or suspended                      passes: the key is written UNHEALTHY (suspended: STANDBY) once in
//                                                      the batch, then lapses; without a successor it is left alone
//   of a pod that died while nobody led                as of a pod that went: the orphan's farewell
//   of a pod whose group was changed or removed        passes in the batch that writes the new group
//   of the pod before, under the same name             passes to the longest-ready; the new pod may be that
//   written over by somebody else, removed, lapsed     passes, if the pod cannot have its key (foreign); else stays
//   not to be written (denied, too large)              stays while the key stands, and passes when it has lapsed
//   two of them (groups were joined)                   the larger term's stays
//
//   the member                                         may be given the role
//   -------------------------------------------------- ----------------------------------------------------------------
//   not Ready, suspended, without a row                no
//   under a key of somebody else's, without Adopt      no
//   under a key of which nothing is known              nobody of the service is, until it was read
//   with any key that is ACTIVE for another group      no: that is unsaid first, or two groups could swap in one batch
//   under a key that the server will not have          no; where only the value with a role is too large: for a minute
//   any other                                          the one that was given it last, else the longest-ready

import type { InstanceContent, InstanceStatus } from './instance.ts';
import { RESERVED_METADATA_KEYS } from './user-metadata.ts';

/** `{serviceName}/{group}`: a group reaches over registrations and namespaces of one service. */
export type GroupKey = string & { readonly brand: 'GroupKey' };

export const groupKey = (serviceName: string, group: string): GroupKey => `${serviceName}/${group}` as GroupKey;

/** What a stored ACTIVE value says of its group. */
export type ActiveRole = {
  readonly group: GroupKey;
  /** The pod it was written for. */
  readonly uid: string;
  /** `metadata.stickyTerm`; 0 when it bears none that we could have written. */
  readonly term: number;
};

export type Member = {
  readonly uid: string;
  /** Of the role that the key holds in this group for this pod; 0: it holds none. */
  readonly term: number;
  /** The pod is Ready, and its key can be ours. */
  readonly fit: boolean;
  /** Being fit, it may be given a role that it does not hold. */
  readonly promotable: boolean;
  /** ms since the epoch. */
  readonly readySinceMs: number;
};

/** The UID of the pod that is to be ACTIVE; `last`: the one that was made so last. Undefined: nobody can be. */
export const electActive = (members: readonly Member[], last: string | undefined): string | undefined => {
  const fit = members.filter((member) => member.fit);
  const holder = first(
    fit.filter(({ term }) => term > 0),
    (a, b) => b.term - a.term,
  );
  if (holder !== undefined) return holder.uid;
  const promotable = fit.filter((member) => member.promotable);
  if (promotable.some(({ uid }) => uid === last)) return last;
  return first(promotable, (a, b) => a.readySinceMs - b.readySinceMs)?.uid;
};

const first = (members: readonly Member[], order: (a: Member, b: Member) => number): Member | undefined =>
  members.toSorted((a, b) => order(a, b) || (a.uid < b.uid ? -1 : a.uid > b.uid ? 1 : 0))[0];

/** What a value written for the pod says; undefined when it is not ACTIVE, or of no group. */
export const activeRoleOf = (
  { status, content }: { readonly status: InstanceStatus; readonly content: InstanceContent },
  uid: string,
): ActiveRole | undefined => {
  const { serviceName, stickyActiveGroup, metadata } = content;
  if (status !== 'ACTIVE' || stickyActiveGroup === null) return undefined;
  return { group: groupKey(serviceName, stickyActiveGroup), uid, term: stickyTermOf(metadata) };
};

type Metadata = Readonly<Record<string, string | number>>;

/** Of a stored value's metadata; 0 when there is none that we could have written. */
const stickyTermOf = (metadata: Metadata): number => {
  const term = metadata[TERM_KEY];
  return typeof term === 'number' && Number.isSafeInteger(term) && term > 0 ? term : 0;
};

/** After the other reserved keys, before the users'. */
export const withStickyTerm = (metadata: Metadata, term: number): Metadata => {
  const entries = Object.entries(withoutStickyTerm(metadata));
  const at = entries.findIndex(([key]) => !RESERVED_METADATA_KEYS.includes(key));
  return Object.fromEntries(entries.toSpliced(at === -1 ? entries.length : at, 0, [TERM_KEY, term]));
};

export const withoutStickyTerm = (metadata: Metadata): Metadata =>
  TERM_KEY in metadata ? Object.fromEntries(Object.entries(metadata).filter(([key]) => key !== TERM_KEY)) : metadata;

const TERM_KEY = 'stickyTerm';
