// Five times as many keys as in the other cases, and both leaders gone at once.

import { type FaultCase, longest } from '../fault-case.ts';
import { killServers, restarted, serversAgree, streamLeader } from './nats.ts';

const bothLeadersKilled: FaultCase = {
  id: 'F21',
  fault: '5,000 keys: operator leader and stream leader killed together, 10 times',
  stage: { nats: 'three servers', pods: 5_000 },
  seconds: 260,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 28_000,
  run: async (play) => {
    const turns = play.short ? 2 : 10;
    const handovers: number[] = [];
    const sweeps: number[] = [];
    for (let turn = 1; turn <= turns; turn += 1) {
      play.progress(`turn ${turn} of ${turns}`);
      const { leader } = await play.leaderAndStandby();
      const { process, pid } = leader.operator;
      const server = await streamLeader(play);
      const sinceMs = play.now();
      await killServers(play, [server], () => process.kill('SIGKILL'));
      const writableMs = play.now();
      const { atMs: takenMs } = await play.taken(pid, sinceMs);
      handovers.push(takenMs - sinceMs);
      sweeps.push((await play.observer.written(takenMs)) - Math.max(takenMs, writableMs));
      await Promise.all([process.restart(), restarted(play, [server])]);
    }
    return [
      longest('full sweep, from the lock', sweeps, 3_000),
      { name: 'longest hand-over', value: Math.max(...handovers), unit: 'ms' },
      await serversAgree(play),
    ];
  },
};

export const manyKeysCases: readonly FaultCase[] = [bothLeadersKilled];
