// Rollcall in a bucket that others use as well: what is not ours is never written, what others take is not fought over,
// and what is removed comes back. Strangers use the ordinary KV client.

import { jetstreamManager } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, createWorkload, untilReadyPods } from './objects.ts';
import { BUCKET, registrationsPath, START_MS, Stage } from './stage.ts';

const INTERVAL_MS = 10_000;
const NAMESPACE = 'shared';
/** What other generations of the SDK keep in the bucket. */
const STRANGERS = [
  'trading-service',
  'sticky-active.trading-service.default',
  'election-state_x',
  'service-instances.other-service.self-1',
];
const FOREIGN = '{"serviceName":"foreign","status":"ACTIVE"}';

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;
let kv: KV;

beforeAll(async () => {
  stage = await Stage.open();
  operator = await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  kv = await new Kvm(observer.connection).open(BUCKET);
  for (const key of STRANGERS) await kv.put(key, FOREIGN);
  await stage.cluster.createNamespace(NAMESPACE);
  await createWorkload(stage.api, NAMESPACE, 'plain-service', { replicas: 3 });
  await untilReadyPods(stage.api, NAMESPACE, 'plain-service', 3);
  await waitFor('the plain keys', () => observer.ofService('plain-service').length === 3);
}, START_MS);

afterAll(() => stage?.close());

const isOurs = ({ headers }: Sighting): boolean => headers['Rollcall-Owner'] !== undefined;
const oursOf = (key: string, from = 0) =>
  observer.messages.slice(from).filter((sighting) => sighting.key === key && isOurs(sighting));
const untilOurs = (key: string, from: number, deadlineMs: number) =>
  observer.until(`a write of ours to ${key}`, (sighting) => sighting.key === key && isOurs(sighting), {
    from,
    deadlineMs,
  });
/** A pod whose key is known before it exists. */
const aNamedPod = async (name: string) => {
  await createPod(stage.api, NAMESPACE, name, { labels: { app: name } });
  return `service-instances.${name}.${name}`;
};
const named = (name: string, spec: object = {}) =>
  createRegistration(stage.api, NAMESPACE, name, {
    selector: { matchLabels: { app: name } },
    instanceId: 'PodName',
    ...spec,
  });

test('a key that somebody else holds is left alone and named; removed, it is ours within an interval + 2 s', async () => {
  const key = 'service-instances.held-service.held-service';
  await kv.put(key, FOREIGN);
  await named('held-service');
  await aNamedPod('held-service');
  const told = await stage.untilCondition(NAMESPACE, 'held-service', 'Conflict', 'HeldByAnother');
  expect(told.status).toBe('True');
  expect(told.message).toContain(key);
  await stage.untilCondition(NAMESPACE, 'held-service', 'Ready', 'Conflict');
  await stage.untilEvent(NAMESPACE, 'ServiceRegistration/held-service', 'Conflict');
  expect(oursOf(key)).toEqual([]);
  expect((await kv.get(key))?.string()).toBe(FOREIGN);
  const from = observer.mark();
  const removedAtMs = Date.now();
  await kv.purge(key);
  const ours = await untilOurs(key, from, INTERVAL_MS + 5_000);
  expect(ours.storedAtMs - removedAtMs).toBeLessThanOrEqual(INTERVAL_MS + 2_000);
  await stage.untilCondition(NAMESPACE, 'held-service', 'Conflict', 'NoConflict');
  await stage.untilCondition(NAMESPACE, 'held-service', 'Ready', 'Registered');
}, 60_000);

test('a key of ours that somebody overwrites is not fought over, until the resource says Adopt', async () => {
  await named('taken-service');
  const key = await aNamedPod('taken-service');
  await untilOurs(key, 0, 10_000);
  await stage.untilCondition(NAMESPACE, 'taken-service', 'Ready', 'Registered');
  const from = observer.mark();
  await kv.put(key, FOREIGN);
  const told = await stage.untilCondition(NAMESPACE, 'taken-service', 'Conflict', 'HeldByAnother', INTERVAL_MS + 5_000);
  expect(told.message).toContain(key);
  // Two more intervals in which a stubborn operator would write again.
  await new Promise((resolve) => setTimeout(resolve, 2 * INTERVAL_MS));
  expect(oursOf(key, from)).toEqual([]);
  expect((await kv.get(key))?.string()).toBe(FOREIGN);
  await stage.api.patch(`${registrationsPath(NAMESPACE)}/taken-service`, { spec: { onConflict: 'Adopt' } });
  const adopted = await untilOurs(key, from, 5_000);
  expect(adopted.headers).toMatchObject({ 'Rollcall-Reason': 'Handover', 'Nats-TTL': '30' });
  await stage.untilCondition(NAMESPACE, 'taken-service', 'Conflict', 'NoConflict');
}, 90_000);

test('a key of ours that somebody purges is back within an interval + 1 s, and so is a deleted one', async () => {
  const [first, second] = observer.ofService('plain-service').map(({ key }) => key ?? '');
  if (first === undefined || second === undefined) throw new Error('no keys');
  const from = observer.mark();
  const removedAtMs = Date.now();
  await kv.purge(first);
  await kv.delete(second);
  for (const key of [first, second]) {
    const back = await untilOurs(key, from, INTERVAL_MS + 5_000);
    expect(back.storedAtMs - removedAtMs).toBeLessThanOrEqual(INTERVAL_MS + 1_000);
    expect(back.headers['Rollcall-Reason']).toBe('Registered');
  }
  await stage.untilEvent(NAMESPACE, 'ServiceRegistration/plain-service', 'Lapsed');
}, 60_000);

test('an installation that was renamed takes over its keys before they lapse', async () => {
  const from = observer.mark();
  const uids = new Set(observer.ofService('plain-service').map(({ podUid }) => podUid));
  await operator.process.kill('SIGTERM');
  const renamed = await stage.startOperator({ args: ['--operator-id=renamed'], await: 'readyz' });
  await waitFor(
    'the keys under the new name',
    () => observer.ofService('plain-service').every(({ headers }) => headers['Rollcall-Owner']?.startsWith('renamed/')),
    { deadlineMs: 40_000 },
  );
  expect(lapses(observer, (uid) => uids.has(uid), from).map(({ sentence }) => sentence)).toEqual([]);
  await renamed.process.kill('SIGTERM');
  await operator.process.restart();
  await waitFor(
    'the keys under the old name',
    () =>
      observer.ofService('plain-service').every(({ headers }) => !headers['Rollcall-Owner']?.startsWith('renamed/')),
    { deadlineMs: 40_000 },
  );
  expect(lapses(observer, (uid) => uids.has(uid), from).map(({ sentence }) => sentence)).toEqual([]);
}, 120_000);

test('what others keep in the bucket was never touched, and the stream is configured as it was made', async () => {
  for (const key of STRANGERS) {
    expect(
      observer.history(key).map(({ body }) => body),
      key,
    ).toEqual([FOREIGN]);
    expect((await kv.get(key))?.string()).toBe(FOREIGN);
  }
  expect(breaches(observer)).toEqual([]);
  const { config } = await (await jetstreamManager(observer.connection)).streams.info(`KV_${BUCKET}`);
  expect(config).toMatchObject({ allow_msg_ttl: true, allow_atomic: true, max_age: 0, max_msgs_per_subject: 1 });
});

test('a bucket that is purged as a whole is filled again within 3 s', async () => {
  await waitFor('every key to stand', () => observer.ofService('plain-service').every(isOurs));
  const keys = [...observer.live.values()].filter(isOurs).map(({ key }) => key ?? '');
  expect(keys.length).toBeGreaterThanOrEqual(5);
  const manager = await jetstreamManager(observer.connection);
  const from = observer.mark();
  const purgedAtMs = Date.now();
  await manager.streams.purge(`KV_${BUCKET}`);
  for (const key of keys) {
    const back = await untilOurs(key, from, 10_000);
    expect(back.storedAtMs - purgedAtMs, key).toBeLessThanOrEqual(3_000);
  }
  expect(breaches(observer)).toEqual([]);
}, 30_000);

test('a bucket that is deleted is made again and filled within 3 s', async () => {
  const keys = [...observer.live.values()].filter(isOurs).map(({ key }) => key ?? '');
  const manager = await jetstreamManager(observer.connection);
  const deletedAtMs = performance.now();
  await manager.streams.delete(`KV_${BUCKET}`);
  // Asked of the stream itself: for the observer it would be another stream.
  await waitFor(
    'every key to be back',
    async () => {
      const found = await Promise.all(
        keys.map((key) => manager.streams.getMessage(`KV_${BUCKET}`, { last_by_subj: `$KV.${BUCKET}.${key}` })),
      );
      return found.every((message) => message !== null && message.header.get('Rollcall-Owner') !== '');
    },
    { deadlineMs: 15_000, intervalMs: 20 },
  );
  expect(performance.now() - deletedAtMs).toBeLessThanOrEqual(3_000);
  const { config } = await manager.streams.info(`KV_${BUCKET}`);
  expect(config).toMatchObject({ allow_msg_ttl: true, allow_atomic: true });
  await stage.untilCondition(NAMESPACE, 'plain-service', 'Ready', 'Registered');
  expect(operator.crashes()).toEqual([]);
}, 30_000);
