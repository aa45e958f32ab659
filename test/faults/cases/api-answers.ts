// An API server that answers, but not always, not to everything, or not everything.

import { type FaultCase, longest } from '../fault-case.ts';
import { blindSinceMs } from '../view-log.ts';

const BLIND_MS = 16_000;
const REFUSED_FOR_MS = 40_000;

const refused: FaultCase = {
  id: 'F10',
  fault: "half of the API's answers are 429, 500 or 503 for 80 s; half-way all connections break once",
  shortened: '80 s rather than 5 minutes: no backoff grows beyond 30 s',
  stage: { nats: 'one server' },
  seconds: 120,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const { gate, replicas, observer } = play.stage;
    const { refusals } = gate;
    const before = { refused: refusals.refused, told: refusals.told, impatient: refusals.impatient.length };
    refusals.set({ fraction: 0.5, statuses: [429, 500, 503], retryAfterSeconds: 2 });
    try {
      // What is being watched goes on being watched: nothing excuses.
      await play.fault('half of the answers are refusals', 'none', () => play.pause(REFUSED_FOR_MS));
      await play.fault('every watch must be opened anew, half of the answers are refusals', 'blind', () => {
        for (const { api } of replicas) api.breakOnce();
        return play.pause(REFUSED_FOR_MS);
      });
    } finally {
      refusals.set(undefined);
    }
    const sinceMs = play.now();
    await observer.calm();
    const rightMs = await observer.statusRight(30_000);
    const impatient = refusals.impatient.slice(before.impatient);
    const told = refusals.told - before.told;
    const [worst] = impatient;
    return [
      longest('every status right', [rightMs - sinceMs], 10_000),
      { name: 'refusals', value: refusals.refused - before.refused, unit: '', atLeast: 200 },
      {
        name: `of ${told} with Retry-After, not waited for${worst === undefined ? '' : ` (${worst})`}`,
        value: impatient.length,
        unit: '',
        atMost: 0,
      },
    ];
  },
};

const silent: FaultCase = {
  id: 'F11',
  fault: 'watches of pods say nothing while all others live, and 20 pods die',
  stage: { nats: 'one server' },
  seconds: 100,
  lapsesAtMost: 0,
  oldestRefreshBelowMs: 22_000,
  run: async (play) => {
    const { gate, observer } = play.stage;
    return play.fault('watches of pods say nothing', 'blind', async () => {
      const [atMs, wallMs] = [play.now(), Date.now()];
      gate.silence(true);
      try {
        const uids = await observer.doom(20);
        const goneMs = await observer.ended(uids, 90_000, true);
        return [
          longest(
            'stale view found',
            play.operators.map((operator) => blindSinceMs(operator, wallMs) - wallMs),
            BLIND_MS,
          ),
          longest("20 dead pods' keys gone", [goneMs - atMs], 60_000),
        ];
      } finally {
        gate.silence(false);
      }
    });
  },
};

/** Seconds, and the longest that a relist may take to come. */
const RELIST_INTERVAL = 15;
const RELISTED_MS = RELIST_INTERVAL * 1_250 + 10_000;
const SPOILT_MS = 90_000;

const leaky: FaultCase = {
  id: 'F12',
  fault: '1 % of the lines of pod watches dropped, 1 % told twice, 0.1 % cut in the middle, for 90 s',
  shortened: `--relist-interval ${RELIST_INTERVAL} s rather than 10 minutes`,
  stage: { nats: 'one server', flags: [`--relist-interval=${RELIST_INTERVAL}`] },
  seconds: 140,
  lapsesAtMost: 0,
  run: async (play) => {
    const { gate, observer, replicas } = play.stage;
    const spoilt = { drop: 0, double: 0, cut: 0 };
    const drifted = async () => {
      const found = await Promise.all(replicas.map(({ operator }) => operator.metric('rollcall_watch_drift_total')));
      return found.reduce((sum, one) => sum + one, 0);
    };
    const before = await drifted();
    const repairedMs = await play.fault('watches lose lines', 'blind', async () => {
      gate.spoilLines(() => {
        const dice = Math.random();
        const fate = dice < 0.01 ? 'drop' : dice < 0.02 ? 'double' : dice < 0.021 ? 'cut' : 'pass';
        if (fate !== 'pass') spoilt[fate] += 1;
        return fate;
      });
      try {
        await play.pause(SPOILT_MS);
      } finally {
        gate.spoilLines(undefined);
      }
      await observer.calm();
      const sinceMs = play.now();
      return (await observer.converged(60_000)) - sinceMs;
    });
    return [
      longest('right again after the last lost line', [repairedMs], RELISTED_MS),
      { name: 'objects put right by relists', value: (await drifted()) - before, unit: '', atLeast: 1 },
      { name: 'lines dropped', value: spoilt.drop, unit: '', atLeast: 20 },
      { name: 'lines told twice', value: spoilt.double, unit: '', atLeast: 20 },
      { name: 'lines cut', value: spoilt.cut, unit: '', atLeast: 1 },
    ];
  },
};

export const apiAnswerCases: readonly FaultCase[] = [refused, silent];
/** On a stage of its own. */
export const leakyWatchCases: readonly FaultCase[] = [leaky];
