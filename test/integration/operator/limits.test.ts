// Limits from outside, each on an installation of its own (namespace, bucket, operator id) of one stage: a budget of writes,
// a bucket that fills up, a clock that is off.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess, OperatorProcessOptions } from '../../support/operator-process.ts';
import { StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses } from '../../support/stream-verdicts.ts';
import { pause } from './fleet.ts';
import { expectShown, SHOWN_WITH_LIMITS } from './kubectl-shows.ts';
import { createPod, createRegistration, deletePod, type Pod } from './objects.ts';
import { type Condition, START_MS, Stage } from './stage.ts';

let stage: Stage;
const observers: StreamObserver[] = [];

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
}, START_MS);

afterAll(async () => {
  for (const observer of observers) await observer.close();
  await stage?.close();
});

/** An operator that sees this namespace alone, and has a bucket of this name. */
const install = async (
  name: string,
  options: Partial<OperatorProcessOptions> = {},
): Promise<{ readonly operator: OperatorProcess; readonly observer: StreamObserver }> => {
  await stage.cluster.createNamespace(name);
  const args = [`--namespace=${name}`, `--operator-id=${name}`, `--bucket=${name}`, ...(options.args ?? [])];
  const operator = await stage.startOperator({ await: 'readyz', ...options, args });
  const observer = await StreamObserver.open(stage.nats.url, name);
  observers.push(observer);
  return { operator, observer };
};

const createPods = (namespace: string, app: string, count: number): Promise<Pod[]> =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      createPod(stage.api, namespace, `${app}-${i}`, { labels: { app }, node: `node-${i % 2}` }),
    ),
  );
const standing = ({ live }: StreamObserver): number =>
  [...live.values()].filter(({ value }) => value?.status === 'ACTIVE').length;
const untilStanding = (observer: StreamObserver, count: number, deadlineMs = 30_000): Promise<unknown> =>
  waitFor(`${count} ACTIVE keys`, () => standing(observer) === count || undefined, { deadlineMs });

const shown = new Set<string>();
/** Waits for the reason, and looks at it as people do. */
const untilShown = async (namespace: string, name: string, type: string, reason: string): Promise<Condition> => {
  const told = await stage.untilCondition(namespace, name, type, reason);
  await expectShown(stage, namespace, name, told);
  shown.add(`${type} ${told.status} ${reason}`);
  return told;
};

describe('--max-writes-per-second', () => {
  const MAX = 10;
  const PODS = 20;

  test('stretches intervals and TTLs, says so, and takes it back; nothing lapses, and no second holds more', async () => {
    const namespace = 'budget';
    const { operator, observer } = await install(namespace, { args: [`--max-writes-per-second=${MAX}`] });
    await createRegistration(stage.api, namespace, 'busy', {
      selector: { matchLabels: { app: 'busy' } },
      ttlSeconds: 3,
      refreshIntervalSeconds: 1,
    });
    const pods = await createPods(namespace, 'busy', PODS);
    await untilStanding(observer, PODS);
    // 20 a second, where 6 are left for refreshes: more than three times the interval.
    const { message } = await untilShown(namespace, 'busy', 'Degraded', 'BudgetStretched');
    expect(message).toContain('refreshed each 4 s instead of 1 s and live for 12 s instead of 3 s');
    expect((await stage.registration(namespace, 'busy'))?.status?.effective).toMatchObject({
      ttlSeconds: 12,
      refreshIntervalSeconds: 4,
    });
    await pause(15_000);
    expect(standing(observer)).toBe(PODS);
    expect(await operator.metric('rollcall_refresh_stretch')).toBeGreaterThan(3);
    const deleted = new Set(pods.slice(4).map(({ metadata }) => metadata.uid));
    const wasReady = (uid: string) => !deleted.has(uid);
    for (const pod of pods.slice(4)) await deletePod(stage.api, pod);
    await stage.untilCondition(namespace, 'busy', 'Degraded', 'TtlShorterThanHandover', 20_000);
    await waitFor('the agreed TTLs', () =>
      [...observer.live.values()].every(
        ({ headers, value }) => value?.status !== 'ACTIVE' || headers['Nats-TTL'] === '3',
      ),
    );
    expect(lapses(observer, wasReady)).toEqual([]);
    expect(breaches(observer)).toEqual([]);
    expect(busiestSecond(observer)).toBeLessThanOrEqual(MAX + 1);
    expect(operator.crashes()).toEqual([]);
  }, 120_000);
});

const registerOne = async (namespace: string): Promise<void> => {
  await createRegistration(stage.api, namespace, 'one', { selector: { matchLabels: { app: 'one' } } });
  await createPods(namespace, 'one', 1);
  await stage.untilCondition(namespace, 'one', 'Ready', 'Registered');
};

test('a clock that is off is said within seconds, by how much and in which direction, and registers all the same', async () => {
  const namespace = 'clock';
  const preload = join(stage.dir, 'clock-behind.mjs');
  await writeFile(preload, 'const now = Date.now; Date.now = () => now() - 25_000;\n');
  const { operator, observer } = await install(namespace, { preload });
  await registerOne(namespace);
  const { message } = await untilShown(namespace, 'one', 'Degraded', 'ClockSkew');
  expect(message).toMatch(/clock is 25 s ahead of Rollcall's/);
  expect(await operator.metric('rollcall_clock_offset_seconds')).toBeCloseTo(25, 0);
  expect(operator.log().filter(({ msg }) => msg.startsWith('the clock of the NATS server'))).toHaveLength(1);
  expect(breaches(observer)).toEqual([]);
}, 60_000);

test('a bucket that somebody fills: how full it is is measured, that it is full is said, and room is used within 5 s', async () => {
  const namespace = 'full';
  const { operator, observer } = await install(namespace);
  await registerOne(namespace);
  const manager = await jetstreamManager(observer.connection);
  const stream = `KV_${namespace}`;
  const { config } = await manager.streams.info(stream);
  const MAX_BYTES = 100_000;
  await manager.streams.update(stream, { ...config, max_bytes: MAX_BYTES });
  const fill = async (bytes: number) => {
    for (let i = 0; i < bytes / 1_000; i += 1) {
      await observer.connection.request(`$KV.${namespace}.filler-${i}`, 'x'.repeat(900));
    }
  };
  await fill(85_000);
  await waitFor('the alarm to go off', async () => {
    const metrics = await Promise.all(['bytes', 'max_bytes'].map((name) => operator.metric(`rollcall_bucket_${name}`)));
    const [bytes = 0, maxBytes = 0] = metrics;
    return maxBytes === MAX_BYTES && bytes / maxBytes > 0.8;
  });
  await fill(200_000);
  await createPods(namespace, 'two', 2);
  await createRegistration(stage.api, namespace, 'two', { selector: { matchLabels: { app: 'two' } } });
  await stage.untilCondition(namespace, 'two', 'Ready', 'RegistryFull');
  const freedMs = performance.now();
  await manager.streams.purge(stream, { filter: `$KV.${namespace}.filler-0` });
  await Promise.all(
    Array.from({ length: 60 }, (_, i) => manager.streams.purge(stream, { filter: `$KV.${namespace}.filler-${i + 1}` })),
  );
  await untilStanding(observer, 3, 10_000);
  expect(performance.now() - freedMs).toBeLessThan(5_000);
  await stage.untilCondition(namespace, 'two', 'Ready', 'Registered');
  expect(operator.crashes()).toEqual([]);
}, 90_000);

test('what is not shown by kubectl elsewhere was shown here', () => {
  expect(shown).toEqual(SHOWN_WITH_LIMITS);
});

/** Most messages of ours that any second held, by the server's clock, lock included, announcements of replicas not. */
const busiestSecond = ({ messages }: StreamObserver): number => {
  const written = messages.filter(({ operation, subject }) => operation !== 'MaxAge' && !subject.includes('.replica.'));
  const times = written.map(({ storedAtMs }) => storedAtMs);
  let first = 0;
  return times.reduce((most, atMs, last) => {
    while ((times[first] ?? 0) <= atMs - 950) first += 1;
    return Math.max(most, last - first + 1);
  }, 0);
};
