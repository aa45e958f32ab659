// What the stories share: the stage they play on, waiting for the API's word or the stream's, and judging one against the
// other. Times are arrivals at the test, all on one monotonic clock.

import { waitFor } from '../../hack/control-plane/wait.ts';
import { run } from '../../hack/real-node/command.ts';
import { replicas, shortName } from './application.ts';
import type { KubeApi } from './kube-api.ts';
import type { PodSighting, PodWatch, Spell } from './pod-watch.ts';
import type { Report } from './report.ts';
import type { InstanceStatus, StreamRecord } from './stream-record.ts';
import type { Target } from './target.ts';

export const namespace = 'rollcall-e2e';
/** Each change of a pod shows in the stream within this time of the API's word (I2 and I4 of the project's invariants). */
export const reactionLimitMs = 2_000;
/** How much longer than a limit to look, so that a late effect is reported with its time. */
export const lateMs = 2_000;
/** A pod may flap faster than anyone must notice: shorter spells may show, and need not. */
const shortestSpellMs = 200;
/** The stream and the API speak to the test on two connections: an effect may arrive a little before its cause. */
const earlyMs = 500;

export type Stage = {
  readonly target: Target;
  readonly api: KubeApi;
  readonly pods: PodWatch;
  readonly record: StreamRecord;
  readonly report: Report;
};

/** The pods of the Deployment, once all of them are Ready and none is on its way out. */
export const untilAllReady = ({ pods }: Stage): Promise<readonly PodSighting[]> =>
  waitFor(
    `${replicas} Ready pods`,
    () => {
      const present = pods.present().filter(({ deleting }) => !deleting);
      return present.length === replicas && present.every(({ ready }) => ready) ? present : undefined;
    },
    { deadlineMs: 90_000, intervalMs: 20 },
  );

/** The first spell of a pod since `sinceMs`, once it has begun, or once it is over. */
export const untilSpell = (
  { pods }: Stage,
  pod: PodSighting,
  sinceMs: number,
  wanted: 'begun' | 'over',
  deadlineMs: number,
): Promise<Spell> =>
  waitFor(
    `${pod.name}: not Ready, ${wanted}`,
    () =>
      pods.spells(pod.uid).find(({ fromMs, toMs }) => fromMs >= sinceMs && (wanted === 'begun' || toMs !== undefined)),
    { deadlineMs, intervalMs: 20 },
  );

/** Sees whether a pod's key changed to the status (undefined: was removed) at or after `sinceMs`; gives the time of it. */
const findChange = (record: StreamRecord, uid: string, status: InstanceStatus | undefined, sinceMs: number) =>
  record.changesOf(uid).find((change) => change.atMs >= sinceMs && change.status === status)?.atMs;

/**
 * Waits for that change and reports the time from the cause to it. The effect of a cause may arrive before it by a
 * little; `sinceMs` says how early it may be when something else than the cause can bring it about.
 */
export const judgeChange = async (
  { record, report }: Stage,
  line: {
    readonly story: string;
    readonly cause: string;
    readonly causeAtMs: number;
    readonly effect: string;
    readonly uid: string;
    readonly status: InstanceStatus | undefined;
    readonly limitMs: number;
    readonly sinceMs?: number;
  },
): Promise<number | undefined> => {
  const { story, cause, causeAtMs, effect, uid, status, limitMs, sinceMs = causeAtMs - earlyMs } = line;
  const deadlineMs = Math.max(0, causeAtMs + limitMs + lateMs - performance.now());
  const find = () => findChange(record, uid, status, sinceMs);
  const atMs = await waitFor(effect, find, { deadlineMs, intervalMs: 20 }).catch(() => undefined);
  report.timed(story, cause, effect, atMs === undefined ? undefined : atMs - causeAtMs, limitMs);
  return atMs;
};

/** Judges every spell of the pod since `sinceMs` that was long enough and is over; returns how many there were. */
export const judgeSpells = async (
  stage: Stage,
  story: string,
  cause: string,
  pod: PodSighting,
  sinceMs: number,
): Promise<number> => {
  const { uid } = pod;
  const name = shortName(pod.name);
  let judged = 0;
  for (const { fromMs, toMs } of stage.pods.spells(uid)) {
    if (fromMs < sinceMs || toMs === undefined || toMs - fromMs < shortestSpellMs) continue;
    judged += 1;
    const common = { story, uid, limitMs: reactionLimitMs };
    const down = await judgeChange(stage, {
      ...common,
      cause: `${cause}: ${name} not Ready`,
      causeAtMs: fromMs,
      effect: 'key UNHEALTHY',
      status: 'UNHEALTHY',
    });
    await judgeChange(stage, {
      ...common,
      cause: `${name} Ready again after ${Math.round(toMs - fromMs)} ms`,
      causeAtMs: toMs,
      effect: 'key ACTIVE',
      status: 'ACTIVE',
      sinceMs: Math.max(toMs - earlyMs, down ?? 0),
    });
  }
  return judged;
};

export const execInPod = async ({ target }: Stage, pod: PodSighting, command: readonly string[]): Promise<void> => {
  await run(target.kubectl, ['--kubeconfig', target.kubeconfig, '-n', namespace, 'exec', pod.name, '--', ...command]);
};
