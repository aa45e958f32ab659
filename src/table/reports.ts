// What people are told of an instance: its rows as a line of the resource's status. Pure; `registration-status.ts` makes
// the status of it.

import type { PodRef, Wish } from '../domain/instance.ts';
import { formsOf } from '../domain/names.ts';
import type { InstanceReport, Refusal } from '../domain/registration-status.ts';
import { type Row, reportOf } from './row.ts';
import { keyIn } from './row-index.ts';

export type RowFacts = {
  /** Why the server will not have the key, if it will not. */
  readonly refusalOf: (row: Row) => Refusal | undefined;
  /** How many times in a row the key was taken from us. */
  readonly lossesOf: (row: Row) => number;
};

/** `besides`: the other keys that its layout asks for. Of the keys of an instance the one that is worst off counts. */
export const instanceReport = (
  shown: Row,
  besides: readonly Row[],
  nowMs: number,
  { refusalOf, lossesOf }: RowFacts,
): InstanceReport => {
  const { wish } = shown;
  const worst = besides.reduce(
    (a, b) => (BADNESS[reportOf(b, nowMs).status] > BADNESS[reportOf(a, nowMs).status] ? b : a),
    shown,
  );
  const { status, reason } = reportOf(worst, nowMs);
  const refusal = [shown, ...besides].flatMap((row) => refusalOf(row) ?? [])[0];
  return {
    pod: wish.pod.name,
    instanceId: shown.instanceId,
    key: status === 'Conflict' ? worst.key : shown.key,
    status,
    ...(reason === undefined ? {} : { reason }),
    ...(refusal === undefined ? {} : { refusal }),
    ...(status === 'Conflict' ? { heldBy: holderOf(worst, lossesOf(worst)) } : {}),
    ready: wish.state.kind === 'live',
    version: wish.content.version,
    ...(wish.versionNote === undefined ? {} : { versionNote: wish.versionNote }),
    inForce: wish,
    sinceMs: worst.report.sinceMs,
  };
};

/** Of a wish without a row, because `holder` has the better right to its id. */
export const blockedReport = (
  serviceName: string,
  instanceId: string,
  wish: Wish,
  holder: PodRef | undefined,
): InstanceReport => ({
  pod: wish.pod.name,
  key: keyIn(formsOf(wish.keyLayout)[0], serviceName, instanceId),
  status: wish.state.kind === 'live' ? 'Conflict' : 'Pending',
  reason: wish.state.kind === 'live' ? 'SameInstanceId' : wish.state.reason,
  ...(holder === undefined ? {} : { heldBy: `pod ${holder.namespace}/${holder.name}` }),
  ready: wish.state.kind === 'live',
  version: wish.content.version,
  sinceMs: wish.podCreatedAtMs,
});

const BADNESS = { ACTIVE: 0, STANDBY: 0, UNHEALTHY: 1, Pending: 2, Conflict: 3 } as const;

const holderOf = ({ observed }: Row, losses: number): string => {
  const holder = observed.kind === 'foreign' ? observed.owner : 'nobody at the moment';
  if (losses < 2) return holder;
  return `${holder}; it was taken from us ${losses} times in a row, so it is left alone for longer each time`;
};
