// Limits from outside, each on an installation of its own (namespace, bucket, operator id) of one stage: a budget of writes.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess, OperatorProcessOptions } from '../../support/operator-process.ts';
import { StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses } from '../../support/stream-verdicts.ts';
import { pause } from './fleet.ts';
import { createPod, createRegistration, deletePod, type Pod } from './objects.ts';
import { START_MS, Stage } from './stage.ts';

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
    const { message } = await stage.untilCondition(namespace, 'busy', 'Degraded', 'BudgetStretched');
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
