// Rollcall in a bucket that others use as well: what is not ours is never written, what others take is not fought over,
// and what is removed comes back. Strangers use the ordinary KV client.

import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { type KV, Kvm } from '@nats-io/kv';
import { headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { OperatorProcess } from '../../support/operator-process.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches, lapses } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, createWorkload, deletePod, type Pod, untilReadyPods } from './objects.ts';
import { BUCKET, registrationsPath, START_MS, Stage } from './stage.ts';

const INTERVAL_MS = 10_000;
const NAMESPACE = 'shared';
/** Of another installation on the same bucket. */
const NEIGHBOURS = 'neighbours';
/** What other generations of the SDK keep in the bucket. */
const STRANGERS = [
  'trading-service',
  'sticky-active.trading-service.default',
  'election-state_x',
  'service-instances.other-service.self-1',
  'service-instances_other-service_self-1',
  'service-instances__other-service__self-1',
  'service-instances_',
];
const FOREIGN = '{"serviceName":"foreign","status":"ACTIVE"}';

let stage: Stage;
let observer: StreamObserver;
let operator: OperatorProcess;
let kv: KV;
let rivalWrites: Promise<readonly number[]>;
let ghostFound: Promise<number>;

beforeAll(async () => {
  stage = await Stage.open();
  operator = await stage.startOperator({ await: 'readyz', args: [`--exclude-namespace=${NEIGHBOURS}`] });
  observer = await stage.observe();
  kv = await new Kvm(observer.connection).open(BUCKET);
  for (const key of STRANGERS) await kv.put(key, FOREIGN);
  await stage.cluster.createNamespace(NAMESPACE);
  rivalWrites = rivalry();
  // Awaited by a test of its own, which an earlier failure may keep from running.
  rivalWrites.catch(() => undefined);
  await createWorkload(stage.api, NAMESPACE, 'plain-service', { replicas: 3 });
  await untilReadyPods(stage.api, NAMESPACE, 'plain-service', 3);
  await waitFor('the plain keys', () => observer.ofService('plain-service').length === 3);
  ghostFound = haunt();
  ghostFound.catch(() => undefined);
}, START_MS);

afterAll(() => stage?.close());

const isOurs = ({ headers }: Sighting): boolean => headers['Rollcall-Owner'] !== undefined;
const history = (key: string, from = 0) =>
  observer.messages.slice(from).filter((sighting) => sighting.key === key && sighting.operation === 'PUT');
const oursOf = (key: string, from = 0) =>
  observer.messages.slice(from).filter((sighting) => sighting.key === key && isOurs(sighting));
const untilOurs = (key: string, from: number, deadlineMs: number) =>
  observer.until(`a write of ours to ${key}`, (sighting) => sighting.key === key && isOurs(sighting), {
    from,
    deadlineMs,
  });
/** A pod whose key is known before it exists. */
const aNamedPod = async (name: string, namespace = NAMESPACE) => {
  await createPod(stage.api, namespace, name, { labels: { app: name } });
  return `service-instances.${name}.${name}`;
};
/** As a client does that sets a TTL of its own. */
const putWithTtl = async (key: string, ttlSeconds: number) => {
  const options = headers();
  options.set('Nats-TTL', `${ttlSeconds}s`);
  await jetstream(observer.connection).publish(`$KV.${BUCKET}.${key}`, FOREIGN, { headers: options });
};
const named = (name: string, spec: object = {}, namespace = NAMESPACE) =>
  createRegistration(stage.api, namespace, name, {
    selector: { matchLabels: { app: name } },
    instanceId: 'PodName',
    ...spec,
  });

const GHOST = 'service-instances.plain-service.of-no-pod';

/** Puts back what looks like a key of ours, of a pod that is none, as from a backup; returns after how many ms that is said. */
const haunt = async (): Promise<number> => {
  const [model] = observer.ofService('plain-service');
  if (model?.value === undefined) throw new Error('no plain key');
  const options = headers();
  options.set('Nats-TTL', '600s');
  const owner = model.headers['Rollcall-Owner'] ?? '';
  options.set('Rollcall-Owner', owner.replace(model.podUid, 'aaaaaaaa-0000-4000-8000-000000000000'));
  const body = model.body.replace(model.value.instanceId, 'of-no-pod');
  await jetstream(observer.connection).publish(`$KV.${BUCKET}.${GHOST}`, body, { headers: options });
  const plantedAtMs = performance.now();
  const { atMs } = await observer.until(
    'its farewell',
    ({ key, value }) => key === GHOST && value?.status === 'UNHEALTHY',
    {
      deadlineMs: 90_000,
    },
  );
  // Half a minute later the audit has looked again and says that there is none.
  await waitFor('the audit to say so', async () => (await operator.metric('rollcall_audit_keys', 'ghosts')) === 1);
  return atMs - plantedAtMs;
};

/** Takes a key each time that it is ours, for 4 s; returns when four writes of ours were stored, with an interval of 1 s. */
const rivalry = async (): Promise<readonly number[]> => {
  await named('rival-service', { ttlSeconds: 6, refreshIntervalSeconds: 1 });
  const key = await aNamedPod('rival-service');
  const written: number[] = [];
  let next = 0;
  // Four of our writes: the first, one interval after the rival lets go, four and sixteen of them.
  while (written.length < 4) {
    const { seq, storedAtMs } = await observer.until(
      `write ${written.length + 1} of ours`,
      (seen) => seen.seq > next && seen.key === key && isOurs(seen),
      { deadlineMs: 60_000 },
    );
    written.push(storedAtMs);
    await putWithTtl(key, 4);
    // What we may have written before that arrived is no answer to it.
    next = (await observer.until('the rival', (seen) => seen.seq > seq && seen.body === FOREIGN && seen.key === key))
      .seq;
  }
  return written;
};

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

test('a key that somebody else holds for a while is ours within an interval + 2 s after its lapse', async () => {
  const key = 'service-instances.leased-service.leased-service';
  await putWithTtl(key, 5);
  const from = observer.mark();
  await named('leased-service', { ttlSeconds: 9, refreshIntervalSeconds: 3 });
  await aNamedPod('leased-service');
  await stage.untilCondition(NAMESPACE, 'leased-service', 'Conflict', 'HeldByAnother');
  const lapsed = await observer.until('its lapse', (seen) => seen.key === key && seen.operation === 'MaxAge', { from });
  const ours = await untilOurs(key, from, 15_000);
  expect(ours.seq).toBeGreaterThan(lapsed.seq);
  expect(ours.storedAtMs - lapsed.storedAtMs).toBeLessThanOrEqual(3_000 + 2_000);
  await stage.untilCondition(NAMESPACE, 'leased-service', 'Conflict', 'NoConflict');
}, 60_000);

test('two installations: each has its lock and its keys; of one that both want the second names the first', async () => {
  await stage.cluster.createNamespace(NEIGHBOURS);
  const quick = { ttlSeconds: 6, refreshIntervalSeconds: 2 };
  await named('contested-service', quick);
  const key = await aNamedPod('contested-service');
  await stage.untilCondition(NAMESPACE, 'contested-service', 'Ready', 'Registered');
  const from = observer.mark();
  const neighbour = await stage.startOperator({
    await: 'readyz',
    args: ['--operator-id=neighbour', `--exclude-namespace=${NAMESPACE}`],
  });
  await named('contested-service', quick, NEIGHBOURS);
  await aNamedPod('contested-service', NEIGHBOURS);
  const told = await stage.untilCondition(NEIGHBOURS, 'contested-service', 'Conflict', 'HeldByAnother');
  expect(told.message).toContain(key);
  expect(told.message).toMatch(/held by installation [0-9a-f-]{36} for pod shared\/contested-service\./);
  const locks = new Set(
    observer.messages.slice(from).flatMap(({ subject }) => (subject.endsWith('.lock') ? subject : [])),
  );
  expect(locks.size).toBe(2);
  const authors = () => new Set(history(key, from).map(({ headers: own }) => own['Rollcall-Owner']?.split('/')[0]));
  expect(authors()).not.toContain('neighbour');
  // The first lets go: its pod is gone, and the key lapses.
  const pod = await stage.api.find<Pod>(`/api/v1/namespaces/${NAMESPACE}/pods/contested-service`);
  if (pod === undefined) throw new Error('no pod');
  await deletePod(stage.api, pod);
  await waitFor('the neighbour to have it', () => authors().has('neighbour'), { deadlineMs: 30_000 });
  await stage.untilCondition(NEIGHBOURS, 'contested-service', 'Ready', 'Registered');
  await neighbour.process.kill('SIGTERM');
  expect(neighbour.crashes()).toEqual([]);
}, 120_000);

test('a key that somebody takes again and again is left to him for longer each time', async () => {
  // Since the beginning, beside the other tests.
  const [first = 0, second = 0, third = 0, fourth = 0] = await rivalWrites;
  expect(second - first).toBeGreaterThanOrEqual(4_000);
  expect(third - second).toBeGreaterThanOrEqual(4_000);
  expect(fourth - third).toBeGreaterThanOrEqual(16_000);
  const told = await stage.untilCondition(NAMESPACE, 'rival-service', 'Conflict', 'HeldByAnother');
  expect(told.message).toMatch(/taken from us \d+ times in a row/);
}, 120_000);

test('a key in our name of a pod that is none is found by the audit within a minute', async () => {
  expect(await ghostFound).toBeLessThan(62_000);
  await waitFor(
    'the audit to find no other',
    async () => (await operator.metric('rollcall_audit_keys', 'ghosts')) === 0,
    { deadlineMs: 60_000 },
  );
  expect(await operator.metric('rollcall_audit_keys', 'missing')).toBe(0);
  expect(await operator.metric('rollcall_ready_to_visible_seconds_count')).toBeGreaterThan(0);
  // The tests that follow count the keys of the service.
  await kv.purge(GHOST);
}, 90_000);

test('a key of ours that somebody overwrites is not fought over, until the resource says Adopt', async () => {
  const intervalMs = 3_000;
  await named('taken-service', { ttlSeconds: 9, refreshIntervalSeconds: 3 });
  const key = await aNamedPod('taken-service');
  await untilOurs(key, 0, 10_000);
  await stage.untilCondition(NAMESPACE, 'taken-service', 'Ready', 'Registered');
  const from = observer.mark();
  await kv.put(key, FOREIGN);
  const told = await stage.untilCondition(NAMESPACE, 'taken-service', 'Conflict', 'HeldByAnother', intervalMs + 10_000);
  expect(told.message).toContain(key);
  // Two more intervals in which a stubborn operator would write again.
  await new Promise((resolve) => setTimeout(resolve, 2 * intervalMs));
  expect(oursOf(key, from)).toEqual([]);
  expect((await kv.get(key))?.string()).toBe(FOREIGN);
  await stage.api.patch(`${registrationsPath(NAMESPACE)}/taken-service`, { spec: { onConflict: 'Adopt' } });
  const adopted = await untilOurs(key, from, 5_000);
  expect(adopted.headers).toMatchObject({ 'Rollcall-Reason': 'Handover', 'Nats-TTL': '9' });
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
