// An API server that stands still, forgets, or lies.

import { waitFor } from '../../../hack/control-plane/wait.ts';
import { saying } from '../conditions.ts';
import { type FaultCase, type Figure, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';
import { PODS } from '../stage.ts';
import { blindSinceMs } from '../view-log.ts';

const BLIND_MS = 16_000;
const BRAKE_SHARE = 0.2;

/** Takes the API server away, waits, and brings it back; returns how long each replica took to know that it is blind. */
const outage = async (play: Play, what: string, ms: number, away: () => unknown, back: () => unknown) => {
  const blind = await play.fault(what, 'blind', async () => {
    const atMs = Date.now();
    const sinceMs = play.now();
    await away();
    try {
      await play.pause(sinceMs + ms - play.now());
      return play.operators.map((operator) => blindSinceMs(operator, atMs) - atMs);
    } finally {
      await back();
    }
  });
  return { blind: longest('blind declared', blind, BLIND_MS) };
};

const paused: FaultCase = {
  id: 'F08',
  fault: 'SIGSTOP the API server for 45 s',
  shortened: '45 s rather than 60: longer than a TTL',
  stage: { nats: 'one server' },
  seconds: 85,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  short: true,
  run: async (play) => {
    const server = play.stage.cluster.process('kube-apiserver');
    const { blind } = await outage(
      play,
      'the API server stands still',
      45_000,
      () => server.pause(),
      () => server.resume(),
    );
    return [blind];
  },
};

const forgetful: FaultCase = {
  id: 'F13',
  fault: '410 Gone every 5 s for a minute',
  shortened: 'a minute rather than two',
  stage: { nats: 'one server' },
  seconds: 90,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    // Their start is not part of the case.
    play.stage.health.begin();
    const untilMs = play.now() + (play.short ? 30_000 : 60_000);
    while (play.now() < untilMs) {
      await play.blow('410', () => play.stage.gate.expire());
      await play.pause(5_000);
    }
    const block: Figure = { name: 'event-loop block', value: play.stage.health.longestBlockMs, unit: 'ms', below: 250 };
    return [block];
  },
};

const empty: FaultCase = {
  id: 'F15',
  fault: 'the API answers with an empty list for 45 s; then 400 pods really go',
  shortened:
    '45 s, in which the brake holds; that a second list confirms after 60 s is in the simulation (`brakes.test.ts`)',
  stage: { nats: 'one server' },
  seconds: 100,
  lapsesAtMost: 0,
  run: async (play) => {
    const { gate, observer, replicas } = play.stage;
    const held: number[] = [];
    let said = 0;
    await play.fault('the API shows no pods', 'blind', async () => {
      gate.showNoPods(true);
      try {
        await play.pause(45_000);
        for (const { operator } of replicas) held.push(await operator.metric('rollcall_held'));
        said = await saying(play, ['Holding'], { type: 'Degraded', status: 'True' });
      } finally {
        gate.showNoPods(false);
      }
    });
    await waitFor(
      'the brake to be released',
      async () => {
        const left = await Promise.all(replicas.map(({ operator }) => operator.metric('rollcall_held')));
        return left.every((one) => one === 0);
      },
      { deadlineMs: 30_000 },
    );
    // The excuse ends 15 s after the fault.
    await play.pause(play.lastFaultMs + 15_500 - play.now());
    // More than the brake lets go by absence.
    const uids = await observer.doom(2 * PODS * BRAKE_SHARE);
    const sinceMs = play.now();
    const endedMs = await observer.ended(uids, 30_000);
    await observer.replenish(PODS);
    return [
      { name: 'pods held by the brake', value: Math.min(...held), unit: '', atLeast: PODS / 2 },
      { name: 'resources that said Holding', value: said, unit: '', atLeast: 1 },
      longest('400 that really went, told', [endedMs - sinceMs], 2_000),
    ];
  },
};

export const apiServerCases: readonly FaultCase[] = [paused, forgetful, empty];
