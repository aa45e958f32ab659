// The story this project implements ("integrate service registration": write, TTL, heartbeat), its acceptance criteria
// and scenarios with its own numbers: TTL 30 s, heartbeat 10 s, times at +08:00, ids {service}-{8 hex}. Only that here
// the operator registers each pod, instead of each service itself. Judged by an ordinary KV client and the raw stream.

import { type KV, type KvEntry, Kvm } from '@nats-io/kv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapseDelays } from '../../support/stream-verdicts.ts';
import { refusals } from '../../support/strict-readers.ts';
import { createPod, createRegistration, deletePod, type Pod } from './objects.ts';
import { BUCKET, START_MS, Stage } from './stage.ts';

const NAMESPACE = 'story';
const TTL_MS = 30_000;
const HEARTBEAT_MS = 10_000;
/** The server's delay of a lapse, as promised to readers. */
const LAPSE_DELAY_MS = 500;
const SERVICE = 'trading-service';
const PREFIX = `service-instances.${SERVICE}.`;

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;
let kv: KV;
let pods: readonly Pod[];
/** What another instance, watching, is told. */
const told: KvEntry[] = [];

const aPod = (name: string, app: string) => createPod(stage.api, NAMESPACE, name, { labels: { app }, node: 'node-0' });
const keyOf = (pod: Pod): string => `${PREFIX}${SERVICE}-${pod.metadata.uid.slice(0, 8)}`;
const keysOf = async (service: string): Promise<readonly string[]> => {
  const found: string[] = [];
  for await (const key of await kv.keys(`service-instances.${service}.*`)) found.push(key);
  return found.toSorted();
};

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
  operator = await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  kv = await new Kvm(observer.connection).open(BUCKET);
  const watch = await kv.watch({ key: `${PREFIX}*` });
  void (async () => {
    for await (const entry of watch) told.push(entry);
  })();
  await stage.cluster.createNamespace(NAMESPACE);
  const select = (app: string, spec: object = {}) =>
    createRegistration(stage.api, NAMESPACE, app, { selector: { matchLabels: { app } }, ...spec });
  await select(SERVICE);
  await select('quick-service', { ttlSeconds: 6, refreshIntervalSeconds: 2 });
  await select('silent-service', { suspend: true });
  // Several instances at once: concurrent registration.
  pods = await Promise.all(['a', 'b', 'c'].map((name) => aPod(name, SERVICE)));
  await Promise.all([aPod('quick', 'quick-service'), aPod('silent', 'silent-service')]);
  await waitFor(
    'the keys',
    () => observer.ofService(SERVICE).length === 3 && observer.ofService('quick-service').length === 1,
  );
}, START_MS);

afterAll(() => stage?.close());

test('1. on startup each instance writes its ServiceInstance under service-instances.{serviceName}.{instanceId}', async () => {
  expect(await keysOf(SERVICE)).toEqual(pods.map(keyOf).toSorted());
  for (const pod of pods) {
    const entry = await kv.get(keyOf(pod));
    const value = entry?.json<Record<string, unknown>>();
    expect(refusals(entry?.string() ?? '')).toEqual([]);
    expect(value).toMatchObject({
      serviceName: SERVICE,
      instanceId: expect.stringMatching(/^trading-service-[0-9a-f]{8}$/),
      version: '1.4.2',
      status: 'ACTIVE',
      lastHeartbeat: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00$/),
      metadata: { pod: pod.metadata.name, namespace: NAMESPACE },
    });
    expect(value?.['instanceId']).toBe(`${SERVICE}-${pod.metadata.uid.slice(0, 8)}`);
  }
});

test('2. the key is created with a TTL: 30 s, or what the service asks for', () => {
  for (const pod of pods) expect(observer.history(keyOf(pod))[0]?.headers['Nats-TTL']).toBe('30');
  expect(observer.ofService('quick-service')[0]?.headers['Nats-TTL']).toBe('6');
});

test('registration can be switched off', async () => {
  await stage.untilCondition(NAMESPACE, 'silent-service', 'Ready', 'Suspended');
  expect(observer.ofService('silent-service')).toEqual([]);
});

test('3. the key is rewritten each 10 s, with the heartbeat of that moment and the whole TTL', async () => {
  for (const pod of pods) {
    const key = keyOf(pod);
    const third = await waitFor('two heartbeats', () => observer.history(key)[2], { deadlineMs: 4 * HEARTBEAT_MS });
    expect(third.headers).toMatchObject({ 'Nats-TTL': '30', 'Rollcall-Reason': 'Refresh' });
    const history = observer.history(key);
    history.slice(1).forEach((next, index) => {
      const before = history[index];
      expect(next.storedAtMs - (before?.storedAtMs ?? 0)).toBeLessThanOrEqual(HEARTBEAT_MS + 800);
      const heartbeatMs = Date.parse(next.value?.lastHeartbeat ?? '');
      expect(heartbeatMs).toBeGreaterThan(Date.parse(before?.value?.lastHeartbeat ?? ''));
      expect(Math.abs(heartbeatMs - next.storedAtMs)).toBeLessThan(1_000);
    });
  }
}, 60_000);

test('an instance that stops is no longer refreshed; one that fails to be found is written again', async () => {
  const [first, second] = pods;
  if (first === undefined || second === undefined) throw new Error('no pods');
  const from = observer.mark();
  await deletePod(stage.api, first);
  await kv.purge(keyOf(second));
  await observer.until('the farewell', ({ key, value }) => key === keyOf(first) && value?.status === 'UNHEALTHY', {
    from,
  });
  await observer.until(
    'the second registration',
    ({ key, value }) => key === keyOf(second) && value?.status === 'ACTIVE',
    {
      from,
      deadlineMs: HEARTBEAT_MS + 5_000,
    },
  );
}, 30_000);

test('when heartbeats stop, each key expires within its TTL, and other instances see it', async () => {
  await operator.process.kill('SIGKILL');
  const from = observer.mark();
  const last = new Map([...observer.live.values()].map(({ key = '', storedAtMs }) => [key, storedAtMs]));
  expect(last.size).toBe(4);
  await waitFor('every key to lapse', () => observer.live.size === 0, { deadlineMs: TTL_MS + 10_000 });
  for (const delayMs of lapseDelays(observer, from)) {
    const ttlMs = delayMs < TTL_MS ? 6_000 : TTL_MS;
    expect(delayMs).toBeGreaterThanOrEqual(ttlMs);
    expect(delayMs).toBeLessThanOrEqual(ttlMs + LAPSE_DELAY_MS);
  }
  expect(lapseDelays(observer, from)).toHaveLength(4);
  for (const pod of pods) {
    // As an entry with an empty body, which readers leave out.
    await waitFor('the reader to be told', () => told.findLast(({ key }) => key === keyOf(pod))?.length === 0);
    const entry = await kv.get(keyOf(pod));
    expect(entry === null || entry.length === 0).toBe(true);
  }
}, 60_000);

test('when they go on, the living are registered again', async () => {
  const from = observer.mark();
  await operator.process.restart();
  for (const pod of pods.slice(1)) {
    await observer.until('the key to be back', ({ key, value }) => key === keyOf(pod) && value?.status === 'ACTIVE', {
      from,
      deadlineMs: 30_000,
    });
  }
  expect(breaches(observer)).toEqual([]);
  expect(operator.crashes()).toEqual([]);
}, 60_000);
