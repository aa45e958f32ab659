// Limits from outside, each on an installation of its own (namespace, bucket, operator id) of one stage: a budget of writes,
// a bucket that fills up or is replaced, a clock that is off, a server that is too old, a namespace that may not be read.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { Kvm } from '@nats-io/kv';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNats } from '../../../hack/control-plane/nats.ts';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import { type OperatorProcess, type OperatorProcessOptions, runRollcall } from '../../support/operator-process.ts';
import { StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses, slanders } from '../../support/stream-verdicts.ts';
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
const startIn = async (name: string, options: Partial<OperatorProcessOptions> = {}): Promise<OperatorProcess> => {
  await stage.cluster.createNamespace(name);
  const args = [`--namespace=${name}`, `--operator-id=${name}`, `--bucket=${name}`, ...(options.args ?? [])];
  return stage.startOperator({ await: 'readyz', ...options, args });
};

/** The same with a witness of the bucket. */
const install = async (
  name: string,
  options: Partial<OperatorProcessOptions> = {},
): Promise<{ readonly operator: OperatorProcess; readonly observer: StreamObserver }> => {
  const operator = await startIn(name, options);
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

test('a bucket that is replaced by one without TTLs is not written to, and why is said; a good one is filled', async () => {
  const namespace = 'replaced';
  const ensure = () => runRollcall(['bucket', 'ensure', `--bucket=${namespace}`, `--nats-url=${stage.nats.url}`]);
  expect((await ensure()).code).toBe(0);
  const { operator, observer } = await install(namespace, { args: ['--bucket-policy=Verify'] });
  await createRegistration(stage.api, namespace, 'web', { selector: { matchLabels: { app: 'web' } } });
  await createPods(namespace, 'web', 3);
  await untilStanding(observer, 3);
  const { connection } = observer;
  const manager = await jetstreamManager(connection);
  const stream = `KV_${namespace}`;
  await manager.streams.delete(stream);
  // As any client makes it.
  await new Kvm(connection).create(namespace);
  const { message } = await stage.untilCondition(namespace, 'web', 'Ready', 'RegistryUnsupported');
  expect(message).toMatch(/TTL/i);
  // Longer than an interval.
  await pause(12_000);
  expect((await manager.streams.info(stream)).state.last_seq).toBe(0);
  expect((await operator.readyz()).status).toBe(200);
  await manager.streams.delete(stream);
  expect((await ensure()).code).toBe(0);
  const madeMs = performance.now();
  const isFilled = async () => {
    const { state } = await manager.streams.info(stream, { subjects_filter: `$KV.${namespace}.>` });
    return Object.keys(state.subjects ?? {}).length === 3;
  };
  await waitFor('all keys to be back', isFilled, { deadlineMs: 10_000, intervalMs: 20 });
  expect(performance.now() - madeMs).toBeLessThanOrEqual(3_000);
  await stage.untilCondition(namespace, 'web', 'Ready', 'Registered');
  expect(operator.crashes()).toEqual([]);
}, 60_000);

test('a server that is too old after a fail-over is told by its version and gets no bucket; its successor has all', async () => {
  const namespace = 'failover';
  const server = await startNats({ dir: stage.dir, name: namespace });
  const operator = await startIn(namespace, { natsUrl: server.url });
  try {
    await createRegistration(stage.api, namespace, 'web', { selector: { matchLabels: { app: 'web' } } });
    await createPods(namespace, 'web', 3);
    await stage.untilCondition(namespace, 'web', 'Ready', 'Registered');
    await server.process.kill('SIGTERM');
    const old = await startNats({ dir: stage.dir, name: 'elder', binary: 'old', port: server.port });
    try {
      const { message } = await stage.untilCondition(namespace, 'web', 'Ready', 'RegistryUnsupported', 20_000);
      expect(message).toMatch(/2\.10\.\d+.*2\.12\.1/);
      const { body } = await request(`${old.monitorUrl}/jsz`);
      expect(await body.json()).toMatchObject({ streams: 0 });
    } finally {
      await old.stop();
    }
    await server.process.restart();
    await stage.untilCondition(namespace, 'web', 'Ready', 'Registered', 20_000);
    const observer = await StreamObserver.open(server.url, namespace);
    await untilStanding(observer, 3, 10_000);
    await observer.close();
    expect(operator.crashes()).toEqual([]);
  } finally {
    await operator.process.kill('SIGTERM');
    await server.stop();
  }
}, 90_000);

describe('a namespace that may not be read any more', () => {
  const [ours, lost, bucket] = ['ours', 'lost', 'two-namespaces'];
  test('costs no other its keys and its news, also of a replica that starts then, and nothing of its own', async () => {
    for (const namespace of [ours, lost]) {
      await stage.cluster.createNamespace(namespace);
      await stage.grantNamespaced(namespace, 'viewer');
    }
    const kubeconfig = await stage.cluster.writeKubeconfig({ user: 'viewer' });
    const args = [`--namespace=${ours},${lost}`, `--operator-id=${bucket}`, `--bucket=${bucket}`];
    const operator = await stage.startOperator({ kubeconfig, args, await: 'readyz' });
    const observer = await StreamObserver.open(stage.nats.url, bucket);
    observers.push(observer);
    const quick = { ttlSeconds: 9, refreshIntervalSeconds: 3, apiOutage: { mode: 'Lapse' } };
    const held = { ttlSeconds: 9, refreshIntervalSeconds: 3 };
    const selector = (app: string) => ({ selector: { matchLabels: { app } } });
    await createRegistration(stage.api, ours, 'here', { ...selector('here'), ...quick });
    await createRegistration(stage.api, lost, 'there', { ...selector('there'), ...held });
    const pods = [...(await createPods(ours, 'here', 2)), ...(await createPods(lost, 'there', 2))];
    await untilStanding(observer, 4);
    const from = observer.mark();
    const living = new Set(pods.map(({ metadata }) => metadata.uid));
    const lapsed = () => lapses(observer, (uid) => living.has(uid), from);

    await stage.unbindNamespaced(lost);
    // Longer than a view may be old, and than a TTL after that.
    await pause(30_000);
    expect(lapsed()).toEqual([]);
    const [more] = await createPods(ours, 'more', 1);
    await createRegistration(stage.api, ours, 'more', { ...selector('more'), ...quick });
    await untilStanding(observer, 5, 5_000);
    living.add(more?.metadata.uid ?? '');
    expect((await operator.readyz()).text).toContain('no right to list and watch');
    await stage.untilCondition(ours, 'more', 'Ready', 'Registered');
    await stage.untilCondition(ours, 'here', 'Ready', 'Registered');

    await operator.process.kill('SIGTERM');
    // It gets to work, and says that it is not well.
    const next = await stage.startOperator({ kubeconfig, args });
    const [last] = await createPods(ours, 'last', 1);
    await createRegistration(stage.api, ours, 'last', { ...selector('last'), ...quick });
    await untilStanding(observer, 6, 20_000);
    living.add(last?.metadata.uid ?? '');
    await pause(15_000);
    expect(lapsed()).toEqual([]);
    expect(slanders(observer, (uid) => living.has(uid), from)).toEqual([]);
    expect(standing(observer)).toBe(6);
    expect((await next.readyz()).text).toMatch(/rights are missing: .* in lost/);

    // Its kinds come back one after the other, in any order.
    await stage.bindNamespaced(lost, 'viewer');
    await waitFor('the replica to be well', async () => (await next.readyz()).status === 200 || undefined, {
      deadlineMs: 30_000,
    });
    await pause(8_000);
    expect(lapsed()).toEqual([]);
    expect(slanders(observer, (uid) => living.has(uid), from)).toEqual([]);
    await stage.untilCondition(lost, 'there', 'Ready', 'Registered');
    await createPods(lost, 'late', 1);
    await createRegistration(stage.api, lost, 'late', { ...selector('late'), ...held });
    await untilStanding(observer, 7, 5_000);
    expect([...operator.crashes(), ...next.crashes()]).toEqual([]);
  }, 150_000);
});

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
