// When a node counts as lost, and what that means for its pods. Pure; who looks at leases, and when, is
// `controllers/node-watch.ts`. Why these figures: docs/adr/0007-a-node-is-judged-after-the-others-could-speak.md.
//
// All times are in which leases were seen: while nobody proves that what we see of them is right, they stand still.
//
//   the node                                      Ready pods of it   pods that the node controller marked not Ready
//   --------------------------------------------- ------------------ ----------------------------------------------
//   heard   its lease moves                       live               not Ready, as the API server says
//   held    it looks lost, and is not judged;     live               live
//           or did until a moment ago
//   silent  its lease has not moved, and it was   away, NodeSilent   away, NodeSilent
//           judged
//
// A node without a lease, or that is deleted, is heard: its pods decide.

import { releases } from './release-brake.ts';
import type { RegistrationView } from './service-registration.ts';

export type NodeVerdict =
  | { readonly kind: 'heard' }
  | { readonly kind: 'silent' }
  /** `silent`: its lease has not moved for long enough; else only the API server says that it is lost. Wall ms. */
  | { readonly kind: 'held'; readonly silent: boolean; readonly sinceWallMs: number };

export const HEARD: NodeVerdict = Object.freeze({ kind: 'heard' });
export const SILENT: NodeVerdict = Object.freeze({ kind: 'silent' });

/** A kubelet renews its lease each 10 s, up to 4 % later; one that has not for so long counts for the brake. */
export const OVERDUE_AFTER_MS = 12_000;
/** Without a move of its lease for so long a node is silent. */
export const SILENT_AFTER_MS = 20_000;
/**
 * So long after its last move a silent node is judged: later than 20 s by what it takes until, of nodes that fell silent
 * together, those that spoke last are overdue as well. Else the first half would be judged before the brake knew of the other.
 * And a kubelet that found the API server away for `PROOF_GAP_MAX_MS` may be back only 23 s after its last word.
 */
export const JUDGED_AFTER_MS = SILENT_AFTER_MS + 4_000;
/** The node controller marks nodes one after the other: what it says of one is believed so much later. */
export const UNKNOWN_BELIEVED_AFTER_MS = 5_000;
/** A kubelet says anew of its pods what the node controller said otherwise: within 10 s of when it is back. */
export const HELD_ON_FOR_MS = 20_000;
/** After the brake has held every living node is given time to be heard before another is judged. */
export const AFTER_BRAKE_MS = 20_000;

const BRAKE_PERCENT = 55;
/** As the node controller has it: fewer are believed to be lost, whatever their share, unless they are all. */
const BRAKE_NODES_MIN = 3;

/** Of `all` nodes with leases so many look lost that rather something else is wrong: of one none is judged. */
export const nodeBrakeHolds = (lost: number, all: number): boolean =>
  lost > 0 && (lost === all || (lost >= BRAKE_NODES_MIN && lost * 100 >= all * BRAKE_PERCENT));

/** For one resource: a person may have let go what is held. */
export const verdictFor = (node: NodeVerdict, registration: Pick<RegistrationView, 'releaseBrake'>): NodeVerdict => {
  if (node.kind !== 'held' || !releases(registration, node.sinceWallMs)) return node;
  return node.silent ? SILENT : HEARD;
};

export const sameVerdict = (a: NodeVerdict, b: NodeVerdict): boolean =>
  a.kind === 'held' && b.kind === 'held' ? a.silent === b.silent && a.sinceWallMs === b.sinceWallMs : a.kind === b.kind;
