// Five times as many keys as in the other cases, and both leaders gone at once.

import { type FaultCase, longest } from '../fault-case.ts';
import { killBothLeaders } from './nats.ts';

const bothLeadersKilled: FaultCase = {
  id: 'F21b',
  fault: '5,000 keys: operator leader and stream leader killed together, 10 times',
  stage: { nats: 'three servers', pods: 5_000 },
  seconds: 260,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 28_000,
  run: async (play) => {
    const handovers: number[] = [];
    const sweeps: number[] = [];
    await killBothLeaders(play, async ({ sinceMs, takenMs, writableMs }) => {
      handovers.push(takenMs - sinceMs);
      sweeps.push((await play.observer.written(takenMs)) - Math.max(takenMs, writableMs));
    });
    return [
      longest('full sweep, from the lock', sweeps, 3_000),
      { name: 'longest hand-over', value: Math.max(...handovers), unit: 'ms' },
    ];
  },
};

export const manyKeysCases: readonly FaultCase[] = [bothLeadersKilled];
