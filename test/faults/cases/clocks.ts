// The wall clock of the operators jumps. Durations are measured on another one, so nothing may come of it.

import type { FaultCase } from '../fault-case.ts';
import { shiftClock } from '../operator-hand.ts';

const HOUR_MS = 3_600_000;
const STAY_MS = 12_000;

const operatorsClock: FaultCase = {
  id: 'F27',
  fault: "the operators' clock jumps an hour ahead, an hour behind, and back",
  stage: { nats: 'one server', inside: true },
  seconds: 60,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    await play.leaderAndStandby();
    const sinceMs = play.now();
    for (const [what, offsetMs] of [
      ['an hour ahead', HOUR_MS],
      ['an hour behind', -HOUR_MS],
      ['right again', 0],
    ] as const) {
      await play.blow(`the operators' clock: ${what}`, () =>
        Promise.all(play.operators.map((operator) => shiftClock(operator, play.stage.dir, offsetMs))),
      );
      await play.pause(STAY_MS);
    }
    const { terms } = await play.observer.timeline(sinceMs, play.now());
    return [{ name: 'terms that ended', value: terms.length - 1, unit: '', atMost: 0 }];
  },
};

export const clockCases: readonly FaultCase[] = [operatorsClock];
