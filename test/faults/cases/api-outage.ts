// The API server is killed, and stays away for longer than keys are held for pods that cannot be asked: pods that listen are
// probed meanwhile. A hundred die unseen, once the operators have said that they are blind: half of them listened.

import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type FaultCase, type Figure, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';
import { PODS } from '../stage.ts';
import { blindSinceMs } from '../view-log.ts';

const BLIND_MS = 16_000;
const DYING = 50;
const PROBED_GONE_MS = 45_000;
/** Spread over a minute from the end of the hold on, and then the TTL. */
const UNPROBED_GONE_MS = 90_000;
const MEMORY_GROWS_MIB = 32;

type Outage = { readonly ms: number; readonly maxHoldSeconds: number };

/** Waits until every replica judges so many pods by probes. */
const judged = (play: Play, pods: number): Promise<unknown> =>
  waitFor(
    `${pods} pods to be judged by probes`,
    async () => {
      const counts = await Promise.all(play.operators.map((operator) => operator.metric('rollcall_pods_probed')));
      return counts.every((count) => count === pods);
    },
    { deadlineMs: 60_000, intervalMs: 500 },
  );

const memoryMiB = async (play: Play): Promise<number> =>
  Math.max(...(await Promise.all(play.operators.map((operator) => operator.memoryMiB()))));

const blindOnes = (play: Play, sinceMs: number): readonly number[] =>
  play.operators.map((operator) => blindSinceMs(operator, sinceMs) - sinceMs);

const playOutage = async (play: Play, { ms, maxHoldSeconds }: Outage): Promise<readonly Figure[]> => {
  const { observer } = play;
  const server = play.stage.cluster.process('kube-apiserver');
  await observer.calm();
  // What churn made last is Ready, and has its key.
  await observer.converged(30_000);
  const living = await observer.standing();
  await judged(play, living);
  // Who does not answer any more when the view begins to age is not judged by probes.
  const mute = await observer.mute(DYING);
  return play.fault(`the API server is killed for ${ms / 60_000} minutes`, 'blind', async () => {
    const [sinceMs, wallMs] = [play.now(), Date.now()];
    await server.kill('SIGKILL');
    let dead: readonly string[] = [];
    try {
      await waitFor('both to be blind', () => blindOnes(play, wallMs).every(Number.isFinite), { deadlineMs: 30_000 });
      await judged(play, living - DYING);
      const memoryBefore = await memoryMiB(play);
      dead = [...(await observer.dieUnseen(DYING)), ...(await observer.dieUnseen(mute))];
      const diedMs = play.now();
      const probedMs = (await observer.ended(dead.slice(0, DYING), 90_000, true)) - diedMs;
      play.progress('the probed dead are gone');
      const unprobedMs = (await observer.ended(mute, maxHoldSeconds * 1_000 + 180_000, true)) - diedMs;
      play.progress('the others are gone as well');
      await play.pause(sinceMs + ms - play.now());
      return [
        longest('blind declared', blindOnes(play, wallMs), BLIND_MS),
        longest('50 probed dead gone', [probedMs], PROBED_GONE_MS),
        longest('50 others gone', [unprobedMs], maxHoldSeconds * 1_000 + UNPROBED_GONE_MS),
        { name: 'memory grown', value: (await memoryMiB(play)) - memoryBefore, unit: 'MiB', atMost: MEMORY_GROWS_MIB },
      ];
    } finally {
      await server.restart();
      await observer.bury(dead);
      await observer.replenish(PODS);
    }
  });
};

const MAX_HOLD_SECONDS = 30;

const short: FaultCase = {
  id: 'F07',
  fault: 'kill the API server for 160 s; 50 pods that answered probes die, and 50 that did not',
  shortened: `160 s rather than 10 minutes, with --max-hold ${MAX_HOLD_SECONDS} rather than 300 s; F07L plays it in full`,
  stage: { nats: 'one server', listening: true, flags: [`--max-hold=${MAX_HOLD_SECONDS}`] },
  seconds: 230,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: (play) => playOutage(play, { ms: 160_000, maxHoldSeconds: MAX_HOLD_SECONDS }),
};

const full: FaultCase = {
  id: 'F07L',
  fault: 'kill the API server for 10 minutes; 50 pods that answered probes die, and 50 that did not',
  stage: { nats: 'one server', listening: true },
  seconds: 680,
  apart: true,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: (play) => playOutage(play, { ms: 600_000, maxHoldSeconds: 300 }),
};

export const apiOutageCases: readonly FaultCase[] = [short, full];
