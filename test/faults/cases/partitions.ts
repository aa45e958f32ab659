// The leader is cut off from the API server, from NATS, or from both, in every way a network has; the standby is not.

import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type FaultCase, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';
import type { Replica } from '../stage.ts';
import { seesSinceMs } from '../view-log.ts';

const YIELDS_MS = 20_000;
const LEADS_MS = 8_000;
/** The new leader goes on while the old one is still cut off. */
const APART_MS = 5_000;
const OLDEST_REFRESH_MS = 22_000;

type Cut = { readonly what: string; readonly apply: (replica: Replica) => void };

const natsOf = ({ nats }: Replica) => {
  if (nats === undefined) throw new Error('this stage has no proxies to NATS');
  return nats;
};

/** Cuts the leader off until another one leads, and a little longer; returns how long that took. */
const partition = async (play: Play, { what, apply }: Cut, excuse: 'blind' | 'none'): Promise<number> => {
  const { leader } = await play.leaderAndStandby();
  const tookMs = await play.fault(what, excuse, async () => {
    const sinceMs = play.now();
    apply(leader);
    try {
      const { atMs } = await play.taken(leader.operator.pid, sinceMs);
      await play.pause(APART_MS);
      return atMs - sinceMs;
    } finally {
      leader.api.pass();
      leader.nats?.pass();
    }
  });
  return tookMs;
};

const fromApi: FaultCase = {
  id: 'F16',
  fault: 'the leader alone is cut off from the API server: connections reset; nothing comes back any more',
  stage: { nats: 'one server' },
  seconds: 120,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: OLDEST_REFRESH_MS,
  run: async (play) => {
    const cuts: readonly Cut[] = [
      { what: 'cut off from the API server', apply: ({ api }) => api.cut() },
      { what: 'the API server is not heard (one way)', apply: ({ api }) => api.hold('toClient') },
    ];
    const yields: number[] = [];
    for (const cut of cuts) {
      const sinceMs = Date.now();
      const { leader } = await play.leaderAndStandby();
      yields.push(await partition(play, cut, 'blind'));
      await waitFor('the old leader to see again', () => seesSinceMs(leader.operator, sinceMs) > 0, {
        deadlineMs: 60_000,
      });
      await play.pause(3_000);
    }
    return [longest('yields', yields, YIELDS_MS)];
  },
};

const fromNats: FaultCase = {
  id: 'F17',
  fault: 'the leader alone is cut off from NATS: reset, held, one way and the other; from NATS and the API server',
  stage: { nats: 'one server' },
  seconds: 150,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: OLDEST_REFRESH_MS,
  run: async (play) => {
    const cuts: readonly Cut[] = [
      { what: 'cut off from NATS', apply: (leader) => natsOf(leader).cut() },
      { what: 'nothing flows to or from NATS', apply: (leader) => natsOf(leader).hold() },
      { what: 'nothing flows to NATS', apply: (leader) => natsOf(leader).hold('toServer') },
      { what: 'nothing flows from NATS', apply: (leader) => natsOf(leader).hold('toClient') },
      {
        what: 'cut off from NATS and the API server',
        apply: (leader) => {
          natsOf(leader).cut();
          leader.api.cut();
        },
      },
    ];
    const leads: number[] = [];
    for (const cut of cuts) {
      leads.push(await partition(play, cut, 'none'));
      // Time to be a standby again.
      await play.pause(8_000);
    }
    return [longest('another one leads', leads, LEADS_MS)];
  },
};

export const partitionCases: readonly FaultCase[] = [fromApi, fromNats];
