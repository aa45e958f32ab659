// Sticky groups whose ACTIVE pods die, all at once. That nobody is ACTIVE for more than 2 s, never two are, and the token
// grows, is judged by I5 in every case.

import { type FaultCase, longest } from '../fault-case.ts';
import { PODS } from '../stage.ts';

const TOLD_MS = 4_000;

const allAtOnce: FaultCase = {
  id: 'F42',
  fault: 'sticky: the ACTIVE pods of 20 groups killed, made unready, relabelled, killed while the leader is cut off',
  shortened: '20 groups at once rather than 100',
  stage: { nats: 'one server' },
  seconds: 80,
  lapsesAtMost: 0,
  short: true,
  run: async (play) => {
    const told: number[] = [];
    for (const how of ['delete', 'unready', 'relabel'] as const) {
      await play.blow(`ACTIVE pods: ${how}`, async () => {
        const sinceMs = play.now();
        const uids = await play.observer.doom('active', how);
        told.push((await play.observer.ended(uids, 20_000)) - sinceMs);
      });
      await play.pause(3_000);
    }
    const { leader } = await play.leaderAndStandby();
    const sinceMs = play.now();
    await play.fault('the leader is cut off, and its ACTIVE pods die', 'none', async () => {
      leader.api.cut();
      leader.nats?.cut();
      try {
        await play.observer.doom('active');
        await play.taken(leader.operator.pid, sinceMs);
        await play.pause(2_000);
      } finally {
        leader.api.pass();
        leader.nats?.pass();
      }
    });
    await play.observer.replenish(PODS);
    return [longest('20 ACTIVE pods told to be otherwise', told, TOLD_MS)];
  },
};

export const stickyCases: readonly FaultCase[] = [allAtOnce];
