// What the reconcilers ask of Kubernetes beside what they read: a few writes and one question. The port; `kubernetes/`
// implements it for an API server.

import type { EventReason } from '../domain/event-reasons.ts';
import type { ServiceRegistrationManifest } from '../domain/owned-registration.ts';

/** An object by name; `uid` and `resourceVersion`, where given, must be the stored one's. */
export type ObjectRef = {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
};

/** Absences and refusals that are part of life are values; whatever may pass by itself is thrown. */
export type WriteOutcome =
  | { readonly kind: 'done' }
  /** There is no such object any more. */
  | { readonly kind: 'notFound' }
  /** Somebody else wrote in between, or another incarnation has the name now. */
  | { readonly kind: 'conflict'; readonly description: string }
  /** A right is missing. */
  | { readonly kind: 'denied'; readonly description: string }
  /** The API server finds it wrong; the same again will not help. */
  | { readonly kind: 'invalid'; readonly description: string };

/** All verbs: @throws ApiError `transient` or `tooMany` (see `retryAfterMs`): try again later. */
export type Cluster = {
  /** Makes the status of a ServiceRegistration equal to `status`; fields that only `registration.status`, the stored one,
   * has are removed. */
  patchStatus(
    registration: ObjectRef & { readonly status?: unknown },
    status: object,
    signal: AbortSignal,
  ): Promise<WriteOutcome>;
  /** Sets one condition of exactly this incarnation of a pod, and no other. */
  patchPodCondition(
    pod: ObjectRef & { readonly uid: string },
    condition: PodCondition,
    signal: AbortSignal,
  ): Promise<WriteOutcome>;
  /** `conflict`: something has that name already, be it a person's. */
  createOwned(manifest: ServiceRegistrationManifest, signal: AbortSignal): Promise<WriteOutcome>;
  /** Completes an owned resource; fields of ours that somebody changed are put back. */
  applyOwned(manifest: ServiceRegistrationManifest, signal: AbortSignal): Promise<WriteOutcome>;
  /** Makes the spec of an owned resource equal to `spec`: also what others added to `owned.spec`, the stored one, goes,
   * which applying would leave alone. */
  restoreOwned(
    owned: ObjectRef & { readonly uid: string; readonly spec?: unknown },
    spec: object,
    signal: AbortSignal,
  ): Promise<WriteOutcome>;
  /** Deletes exactly this incarnation. */
  deleteOwned(owned: ObjectRef & { readonly uid: string }, signal: AbortSignal): Promise<WriteOutcome>;
  /** Creates the Lease, or makes it say this. */
  applyLease(lease: LeaseShown, signal: AbortSignal): Promise<WriteOutcome>;
  /** Whether our own credentials have a right; `namespace` absent: in all of them. */
  canI(right: Right, signal: AbortSignal): Promise<boolean>;
};

/** For how long whoever refused wants to hear nothing of this; undefined when he did not say. */
export const retryAfterMsOf = (error: unknown): number | undefined => {
  if (!(error instanceof Error) || !('retryAfterMs' in error)) return undefined;
  const { retryAfterMs } = error;
  return typeof retryAfterMs === 'number' ? retryAfterMs : undefined;
};

export type LeaseShown = {
  readonly namespace: string;
  readonly name: string;
  readonly holder: string;
  readonly seconds: number;
  /** ms since the epoch. */
  readonly acquiredAtMs: number;
  readonly renewedAtMs: number;
};

export type PodCondition = {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
  /** RFC 3339; absent: as it is stored. */
  readonly lastTransitionTime?: string;
};

export type Right = {
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  /** Plural, with its subresource: `serviceregistrations/status`. */
  readonly resource: string;
  readonly namespace?: string;
};

export type ObjectReference = {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for objects of the cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
};

export type EventNotice = {
  readonly regarding: ObjectReference;
  readonly related?: ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: EventReason;
  /** What was being done: `Register`, `Refresh`, ... */
  readonly action: string;
  /** A sentence; cut at 1,024 bytes. */
  readonly note: string;
};

/** Takes note of what happened; returns at once, never throws. Repeats are counted, floods are dropped. */
export type EventSink = { emit(notice: EventNotice): void };
