// The differential oracle on real servers: twenty walks of fifty random edits, side by side, must each end in the bucket
// and status that their last state gives in an empty namespace. The steps are the simulation's (`test/support/walk.ts`);
// Deployments, rollouts, garbage collection, server-side apply and CEL are the real thing here. `WALK=7` repeats one.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { seeded } from '../../simulation/support/seeded.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { breaches } from '../../support/stream-verdicts.ts';
import { EMPTY, edited, mended, type WalkState } from '../../support/walk.ts';
import type { WalkEnd } from '../../support/walk-end.ts';
import { Plot } from './plot.ts';
import { START_MS, Stage } from './stage.ts';

const EDITS = 50;
const PAUSE_MS_MAX = 200;
/** The longest TTL of a walk is 6 s; the rest is for a slow machine. */
const CONVERGE_MS = 60_000;

const onlySeed = process.env['WALK'];
const seeds = onlySeed === undefined ? Array.from({ length: 20 }, (_, i) => i + 1) : [Number(onlySeed)];

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;
/** All at once: vitest would begin five. */
const walks = new Map<number, Promise<Ends>>();

beforeAll(async () => {
  stage = await Stage.open();
  // What says nothing of a TTL ends soon as well.
  operator = await stage.startOperator({ args: ['--default-ttl=3', '--default-refresh-interval=1'], await: 'readyz' });
  observer = await stage.observe();
  for (const seed of seeds) {
    const ends = endsOf(seed);
    // Whoever awaits it is told.
    ends.catch(() => undefined);
    walks.set(seed, ends);
  }
}, START_MS);

afterAll(async () => {
  await Promise.allSettled(walks.values());
  await stage?.close();
});

type Walked = { readonly plot: Plot; readonly state: WalkState };
type Ends = { readonly walked: WalkEnd; readonly fresh: WalkEnd };

const endsOf = async (seed: number): Promise<Ends> => {
  const walked = await walk(seed);
  return settled(walked.plot, await afresh(seed, walked), walked.state);
};

const plotOf = async (name: string): Promise<Plot> => {
  const plot = new Plot(stage.api, name);
  await stage.cluster.createNamespace(plot.namespace);
  return plot;
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const walk = async (seed: number): Promise<Walked> => {
  const plot = await plotOf(`walk-${seed}`);
  const random = seeded(seed);
  let state = EMPTY;
  for (let i = 0; i <= EDITS; i += 1) {
    const next = i === EDITS ? mended(state) : edited(random, state);
    await plot.follow(state, next);
    state = next;
    // Part of the walk: some edits follow at once, some a while later.
    await pause(random() < 0.5 ? 0 : random() * PAUSE_MS_MAX);
  }
  return { plot, state };
};

/** In the order in which they came, and in different seconds: the older counts, and the API server's times are whole. */
const afresh = async (seed: number, { plot: walked, state }: Walked): Promise<Plot> => {
  const plot = await plotOf(`fresh-${seed}`);
  const bornAt = await walked.bornAt();
  const order = Object.keys(state.resources).toSorted((a, b) =>
    `${bornAt.get(a)} ${a}` < `${bornAt.get(b)} ${b}` ? -1 : 1,
  );
  let done: WalkState = EMPTY;
  for (const name of order) {
    const resource = state.resources[name];
    if (resource === undefined) continue;
    const next = { ...done, resources: { ...done.resources, [name]: resource } };
    await plot.follow(done, next);
    done = next;
    const second = Date.parse((await plot.bornAt()).get(name) ?? '') + 1_000;
    await waitFor('the second to be over', () => Date.now() >= second, { intervalMs: 20 });
  }
  await plot.follow(done, state);
  return plot;
};

/** Where both are when they are the same and stay so; where they are when the time is up, if that never comes. */
const settled = async (walked: Plot, fresh: Plot, state: WalkState): Promise<Ends> => {
  const look = async (): Promise<Ends> => ({ walked: await walked.end(observer), fresh: await fresh.end(observer) });
  const same = async () => {
    await Promise.all([walked.restore(state), fresh.restore(state)]);
    const ends = await look();
    return JSON.stringify(ends.walked) === JSON.stringify(ends.fresh);
  };
  const stays = async () => (await same()) && (await onlyRefreshed([walked, fresh])) && (await same());
  const options = { deadlineMs: CONVERGE_MS, intervalMs: 1_000 };
  await waitFor('both ends to be the same', stays, options).catch(() => undefined);
  return look();
};

/** Whether, while every key is written twice more, nothing is written but that. */
const onlyRefreshed = async (plots: readonly Plot[]): Promise<boolean> => {
  const keys = new Set(plots.flatMap((plot) => plot.keys(observer)));
  const mark = observer.mark();
  const since = () => observer.messages.slice(mark).filter(({ key }) => key !== undefined && keys.has(key));
  const isRefresh = ({ headers }: { readonly headers: Readonly<Record<string, string>> }) =>
    headers['Rollcall-Reason'] === 'Refresh';
  await waitFor('every key to be written twice, or one otherwise', () => {
    const writes = since();
    const times = Map.groupBy(writes, ({ key }) => key);
    return writes.some((write) => !isRefresh(write)) || [...keys].every((key) => (times.get(key)?.length ?? 0) >= 2);
  });
  return since().every(isRefresh);
};

test.each(seeds)('seed %i: fifty edits end where their last state begins', async (seed) => {
  const { walked, fresh } = (await walks.get(seed)) ?? never();
  expect(walked).toEqual(fresh);
  expect(walked.groups.filter(({ active }) => active !== 1)).toEqual([]);
}, 240_000);

test.skipIf(onlySeed !== undefined)('the walks lead somewhere', async () => {
  const ends = (await Promise.all(walks.values())).map(({ walked }) => walked);
  expect(ends.filter(({ keys }) => keys.length > 0).length).toBeGreaterThan(15);
  expect(ends.filter(({ resources }) => resources.length > 0).length).toBeGreaterThan(15);
  expect(ends.flatMap(({ groups }) => groups).length).toBeGreaterThan(5);
});

test('on the way nothing in the stream broke the contract', () => {
  // A change of ids or of the layout leaves the old keys behind, to lapse.
  expect(breaches(observer).filter((breach) => !breach.includes('(I3)'))).toEqual([]);
  expect(operator.crashes()).toEqual([]);
});

const never = (): never => {
  throw new Error('the walk was begun');
};
