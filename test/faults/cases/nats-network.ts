// A network to NATS that loses, delays and is narrow, that forgets connections, and that delivers late.

import { type FaultCase, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';

const LOST_SHARE = 0.05;
const DELAY_MS = 100;
/** All 1,000 keys are 0.8 MB, which an audit reads in between: at a third of this it holds up answers for seconds. */
const BYTES_PER_SECOND = 1_024 * 1_024;
const GAP_MS = 8_000;
/** Each way: enough for the late bytes to come between the new leader's lock and its first key. */
const NEXT_LEADERS_DELAY_MS = 100;

/** The proxies of all operators. */
const ways = (play: Play) => play.stage.replicas.flatMap(({ nats }) => nats ?? []);

const badNetwork: FaultCase = {
  id: 'F23',
  fault: 'loss of 5 %, 45 s; delay of 100 ms each way, 20 s; 1 MiB/s, 20 s',
  shortened:
    'loss as TCP shows it: a lost piece stalls all behind it for 200 ms, and twice as long each time it is lost again',
  stage: { nats: 'one server' },
  seconds: 110,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const weathers = [
      ['5 % of all pieces are lost', 45_000, (way) => way.lose(LOST_SHARE)],
      ['each piece comes 100 ms late', 20_000, (way) => way.delay(DELAY_MS)],
      ['1 MiB/s', 20_000, (way) => way.narrow(BYTES_PER_SECOND)],
    ] as const satisfies readonly (readonly [string, number, (way: ReturnType<typeof ways>[number]) => void])[];
    for (const [what, ms, set] of weathers) {
      await play.fault(what, 'none', async () => {
        for (const way of ways(play)) set(way);
        try {
          await play.pause(play.short ? ms / 3 : ms);
        } finally {
          for (const way of ways(play)) way.pass();
        }
      });
    }
    return [];
  },
};

const forgotten: FaultCase = {
  id: 'F20b',
  fault: 'all connections of the operators to NATS go silent for good, as where a firewall forgot them; new ones pass',
  stage: { nats: 'one server' },
  seconds: 40,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const sinceMs = play.now();
    await play.fault('the connections go silent', 'none', async () => {
      for (const way of ways(play)) way.strand();
      await play.pause(15_000);
    });
    return [longest('gap', [await play.observer.lockGap(sinceMs)], GAP_MS)];
  },
};

const late: FaultCase = {
  id: 'F03b',
  fault: 'what the leader sends is held until another has the lock, and then arrives, 3 times',
  stage: { nats: 'one server' },
  seconds: 50,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const lateBytes: number[] = [];
    for (let turn = 1; turn <= (play.short ? 1 : 3); turn += 1) {
      const { leader, standby } = await play.leaderAndStandby();
      const sinceMs = play.now();
      await play.fault('the bytes of the leader are late', 'none', async () => {
        leader.nats?.hold('toServer');
        standby.nats?.delay(NEXT_LEADERS_DELAY_MS);
        try {
          await play.taken(leader.operator.pid, sinceMs);
          standby.nats?.hold();
          lateBytes.push(leader.nats?.heldBytes() ?? 0);
          leader.nats?.pass();
          await play.pause(500);
        } finally {
          leader.nats?.pass();
          standby.nats?.pass();
        }
      });
      await play.pause(3_000);
    }
    // A message with its headers has some 700 bytes. That none of them is stored is I6.
    return [{ name: 'fewest bytes that came late', value: Math.min(...lateBytes), unit: '', atLeast: 1_000 }];
  },
};

export const natsNetworkCases: readonly FaultCase[] = [badNetwork, forgotten, late];
