// Operators that die, stop and are replaced.

import { type FaultCase, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';
import { PODS } from '../stage.ts';

const HANDOVER_CRASH_MS = 8_000;
const HANDOVER_PLANNED_MS = 2_000;

/** Sends the leader this signal, waits for the next one, starts the old one again; returns how long nobody led. */
const handOver = async (play: Play, signal: 'SIGKILL' | 'SIGTERM'): Promise<number> => {
  const { leader } = await play.leaderAndStandby();
  const { operator } = leader;
  const { pid } = operator;
  const sinceMs = await play.blow(signal === 'SIGKILL' ? 'kill -9 the leader' : 'SIGTERM to the leader', async () => {
    const atMs = play.now();
    const ended = operator.process.kill(signal);
    if (signal === 'SIGKILL') await ended;
    return atMs;
  });
  const { atMs } = await play.taken(pid, sinceMs);
  await operator.process.exited;
  await operator.process.restart();
  return atMs - sinceMs;
};

const killed: FaultCase = {
  id: 'F01',
  fault: 'kill -9 the leader 20 times at random moments',
  stage: { nats: 'one server' },
  seconds: 240,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  short: true,
  run: async (play) => {
    const kills = play.short ? 4 : 20;
    const handovers: number[] = [];
    for (let kill = 0; kill < kills; kill += 1) {
      play.progress(`kill ${kill + 1} of ${kills}`);
      await play.leaderAndStandby();
      await play.pause(Math.random() * 3_000);
      handovers.push(await handOver(play, 'SIGKILL'));
    }
    return [longest('hand-over', handovers, HANDOVER_CRASH_MS)];
  },
};

const rolled: FaultCase = {
  id: 'F02',
  fault: 'rolling update of both replicas, 5 times',
  stage: { nats: 'one server' },
  seconds: 60,
  lapsesAtMost: 0,
  short: true,
  run: async (play) => {
    const handovers: number[] = [];
    for (let turn = 0; turn < (play.short ? 1 : 5); turn += 1) {
      play.progress(`update ${turn + 1}`);
      // A Deployment ends the old replicas one after the other, here the leader first each time: the worst order.
      for (let replica = 0; replica < play.operators.length; replica += 1)
        handovers.push(await handOver(play, 'SIGTERM'));
    }
    return [longest('hand-over', handovers, HANDOVER_PLANNED_MS)];
  },
};

const paused: FaultCase = {
  id: 'F03',
  fault: 'SIGSTOP the leader for 5, 20, 40 and 65 s, then SIGCONT',
  shortened: '65 s rather than 120: two TTLs, and longer than any timeout of the operator',
  stage: { nats: 'one server' },
  seconds: 165,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const handovers: number[] = [];
    for (const seconds of [5, 20, 40, 65]) {
      const { leader } = await play.leaderAndStandby();
      const { process, pid } = leader.operator;
      await play.fault(`the leader is stopped for ${seconds} s`, 'none', async () => {
        const sinceMs = play.now();
        process.pause();
        try {
          // Within the life of its lock it may go on where it was.
          if (seconds > 10) handovers.push((await play.taken(pid, sinceMs)).atMs - sinceMs);
          await play.pause(sinceMs + seconds * 1_000 - play.now());
        } finally {
          process.resume();
        }
      });
      await play.pause(3_000);
    }
    return [longest('hand-over', handovers, HANDOVER_CRASH_MS)];
  },
};

const away: FaultCase = {
  id: 'F05',
  fault: 'kill both operators, 100 pods die, start again after 45 s',
  shortened: '45 s rather than 60: every key has lapsed',
  stage: { nats: 'one server' },
  seconds: 90,
  run: async (play) => {
    const sinceMs = play.now();
    const backMs = await play.fault('no operator runs', 'operators', async () => {
      await Promise.all(play.operators.map(({ process }) => process.kill('SIGKILL')));
      await play.observer.doom(100);
      await play.pause(sinceMs + 45_000 - play.now());
      const startedMs = play.now();
      const [lastMs] = await Promise.all([
        play.observer.written(startedMs),
        ...play.operators.map(({ process }) => process.restart()),
      ]);
      return lastMs - startedMs;
    });
    const delays = await play.observer.lapseDelays(sinceMs);
    await play.observer.replenish(PODS);
    return [
      longest('keys gone after their last refresh', delays, 30_500),
      longest('all back after the start', [backMs], 5_000),
    ];
  },
};

export const operatorCases: readonly FaultCase[] = [killed, rolled, paused, away];
