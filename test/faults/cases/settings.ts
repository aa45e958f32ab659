// Settings that change while keys stand: how long keys live and how often they are refreshed, to what is right and to what
// is not.

import { ApiError } from '../../../hack/control-plane/api-client.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type FaultCase, longest } from '../fault-case.ts';
import type { Play } from '../play.ts';

const RESOURCES = '/apis/rollcall.dev/v1alpha1/serviceregistrations';

type Timing = { readonly ttlSeconds: number; readonly refreshIntervalSeconds: number };

const STEPS: readonly Timing[] = [
  { ttlSeconds: 60, refreshIntervalSeconds: 20 },
  { ttlSeconds: 15, refreshIntervalSeconds: 5 },
  { ttlSeconds: 45, refreshIntervalSeconds: 15 },
  { ttlSeconds: 30, refreshIntervalSeconds: 10 },
];
/** A turn of the new interval is watched, and at least for as long as the shortest TTL. */
const WATCHED_MS = 15_000;

const INVALID: readonly object[] = [
  { ttlSeconds: 30, refreshIntervalSeconds: 11 },
  { ttlSeconds: 1, refreshIntervalSeconds: 1 },
  { ttlSeconds: 0 },
  { ttlSeconds: -30 },
  { ttlSeconds: 2_000_000 },
  { ttlSeconds: '30s' },
  { ttlSeconds: 30.5 },
  { refreshIntervalSeconds: 0 },
];

/** Changes every resource of the campaign. */
const patchAll = async (play: Play, timing: object): Promise<void> => {
  const api = play.stage.cluster.api();
  const resources = await api.list(RESOURCES);
  await Promise.all(
    resources.map(({ metadata: { namespace, name } }) =>
      api.patch(`/apis/rollcall.dev/v1alpha1/namespaces/${namespace}/serviceregistrations/${name}`, { spec: timing }),
    ),
  );
};

/** Whether the API server let it in. */
const isLetIn = async (play: Play, timing: object): Promise<boolean> => {
  try {
    await patchAll(play, timing);
    return true;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 422 || error.status === 400)) return false;
    throw error;
  }
};

const changed: FaultCase = {
  id: 'F41',
  fault: 'TTL and interval of all resources changed live, to 60/20, 15/5, 45/15 and 30/10 s, and to what is invalid',
  stage: { nats: 'one server' },
  seconds: 170,
  lapsesAtMost: 0,
  run: async (play) => {
    const { observer } = play.stage;
    const all: number[] = [];
    let letIn = 0;
    for (const timing of STEPS) {
      const { ttlSeconds, refreshIntervalSeconds } = timing;
      await play.fault(`TTL ${ttlSeconds} s, every ${refreshIntervalSeconds} s`, 'none', async () => {
        const sinceMs = play.now();
        await patchAll(play, timing);
        await waitFor(
          `TTL ${ttlSeconds} s on every key`,
          async () => Object.keys(await observer.ttls()).every((ttl) => ttl === `${ttlSeconds}`),
          { deadlineMs: 60_000 },
        );
        all.push(play.now() - sinceMs);
        for (const invalid of INVALID) if (await isLetIn(play, invalid)) letIn += 1;
        await play.pause(Math.max(WATCHED_MS, refreshIntervalSeconds * 1_000));
        const found = Object.keys(await observer.ttls());
        if (found.join() !== `${ttlSeconds}`) throw new Error(`keys were written with a TTL of ${found.join(', ')}`);
      });
    }
    return [
      // At the latest with the refresh that would have come next.
      longest('every key has the new TTL', all, 21_000),
      { name: `of ${STEPS.length * INVALID.length} invalid changes, let in`, value: letIn, unit: '', atMost: 0 },
    ];
  },
};

export const settingsCases: readonly FaultCase[] = [changed];
