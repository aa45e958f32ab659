// A hundred sticky groups on real servers: one ACTIVE pod each, whoever dies, and never two of them at any position of
// the raw stream. No controllers: nothing but the test changes the pods.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../../hack/control-plane/wait.ts';
import type { Sighting, StreamObserver } from '../../support/stream-observer.ts';
import { breaches, roleOf } from '../../support/stream-verdicts.ts';
import { createPod, createRegistration, deletePod, type Pod } from './objects.ts';
import { START_MS, Stage } from './stage.ts';

const NAMESPACE = 'sticky';
const GROUPS = 100;
const PODS_PER_GROUP = 3;
/** I5: without an ACTIVE one for this long at most, while a Ready member exists. */
const WITHOUT_MS = 2_000;
/** A new leader after a crash. */
const CRASH_MS = 8_000;
/** Were more than a fifth of all keys without a pod as a term begins, they would be held until a second look. */
const BELOW_BRAKE = 40;

let stage: Stage;
let observer: StreamObserver;
const pods = new Map<string, Pod>();

const serviceOf = (group: number): string => `service-${group}`;
const names = Array.from({ length: GROUPS }, (_, group) => serviceOf(group));

const addPod = async (name: string, labels: Readonly<Record<string, string>>): Promise<Pod> => {
  const pod = await createPod(stage.api, NAMESPACE, name, { labels, node: `node-${pods.size % 2}` });
  pods.set(pod.metadata.uid, pod);
  return pod;
};

/** The ACTIVE key of a service's group, by the stream as it is now. */
const activeOf = (service: string): Sighting | undefined =>
  observer.ofService(service).find(({ value }) => value?.status === 'ACTIVE');

const standbysOf = (service: string): readonly Sighting[] =>
  observer.ofService(service).filter(({ value }) => value?.status === 'STANDBY');

/** Each group has one ACTIVE and so many STANDBY. */
const untilSettled = (services: readonly string[], standbys: number, deadlineMs: number): Promise<true> =>
  waitFor(
    `one ACTIVE and ${standbys} STANDBY in each group`,
    () => services.every((name) => activeOf(name) !== undefined && standbysOf(name).length === standbys),
    { deadlineMs },
  );

/** Deletes the ACTIVE pods of these services at once; tells for each when the API had done so, by the wall clock. */
const deleteActive = async (services: readonly string[]): Promise<ReadonlyMap<string, number>> => {
  const deletedAtMs = new Map<string, number>();
  await Promise.all(
    services.map(async (name) => {
      const pod = pods.get(activeOf(name)?.podUid ?? '');
      if (pod === undefined) throw new Error(`${name} has no ACTIVE pod`);
      await deletePod(stage.api, pod);
      deletedAtMs.set(name, Date.now());
    }),
  );
  return deletedAtMs;
};

/** The first promotion in a service's group since the mark. */
const promotionIn = (name: string, from: number): Sighting => {
  const first = observer.messages
    .slice(from)
    .filter((sighting) => roleOf(sighting) !== undefined && sighting.value?.serviceName === name)
    .find(({ headers }) => headers['Rollcall-Reason'] === 'RoleChange');
  if (first === undefined) throw new Error(`${name}: nobody was promoted`);
  return first;
};

/** How long the group that waited longest had no ACTIVE pod after the deletion. */
const longestWithoutMs = (from: number, deletedAtMs: ReadonlyMap<string, number>): number =>
  Math.max(...Array.from(deletedAtMs, ([name, atMs]) => promotionIn(name, from).storedAtMs - atMs));

/** The key that went down stands in the same batch, before. */
const isHandOver = (up: Sighting): boolean =>
  observer.messages.some(
    ({ seq, value, headers }) =>
      seq < up.seq &&
      value?.serviceName === up.value?.serviceName &&
      value?.status === 'UNHEALTHY' &&
      headers['Nats-Batch-Id'] === up.headers['Nats-Batch-Id'],
  );

beforeAll(async () => {
  stage = await Stage.open({ controlPlane: { controllerManager: false, scheduler: false } });
  await stage.startOperator({ await: 'readyz' });
  await stage.startOperator({ await: 'readyz' });
  observer = await stage.observe();
  await stage.cluster.createNamespace(NAMESPACE);
  for (const name of names) {
    await createRegistration(stage.api, NAMESPACE, name, {
      selector: { matchLabels: { app: name, track: 'stable' } },
      stickyActiveGroup: 'default',
    });
  }
  await Promise.all(
    names.flatMap((name) =>
      Array.from({ length: PODS_PER_GROUP }, (_, index) => addPod(`${name}-${index}`, { app: name, track: 'stable' })),
    ),
  );
  await untilSettled(names, PODS_PER_GROUP - 1, 60_000);
}, START_MS);

afterAll(() => stage?.close());

test('status counts the roles, and says in which group', async () => {
  const registration = await waitFor('the status', async () => {
    const found = await stage.registration(NAMESPACE, serviceOf(0));
    return found?.status?.instances['standby'] === PODS_PER_GROUP - 1 ? found : undefined;
  });
  expect(registration.status).toMatchObject({
    ready: '3/3',
    effective: { stickyActiveGroup: 'default' },
    instances: { active: 1, standby: 2, registered: 3 },
  });
});

test(`the ACTIVE pods of ${GROUPS} groups are deleted at once: each group has another within 2 s, in one batch`, async () => {
  const from = observer.mark();
  const deletedAtMs = await deleteActive(names);
  await untilSettled(names, PODS_PER_GROUP - 2, 20_000);
  const withoutMs = longestWithoutMs(from, deletedAtMs);
  process.stdout.write(`promoted after ${Math.round(withoutMs)} ms at most\n`);
  expect(withoutMs).toBeLessThanOrEqual(WITHOUT_MS);
  expect(names.filter((name) => !isHandOver(promotionIn(name, from)))).toEqual([]);
  expect(breaches(observer)).toEqual([]);
}, 60_000);

test('a canary of the service joins the group; a pod that comes back takes no role from its holder', async () => {
  const from = observer.mark();
  const holders = names.map((name) => activeOf(name)?.podUid);
  await createRegistration(stage.api, NAMESPACE, 'canary', {
    serviceName: serviceOf(0),
    selector: { matchLabels: { app: serviceOf(0), track: 'canary' } },
    stickyActiveGroup: 'default',
  });
  await addPod('canary-0', { app: serviceOf(0), track: 'canary' });
  await Promise.all(names.slice(1).map((name) => addPod(`${name}-again`, { app: name, track: 'stable' })));
  await untilSettled(names, PODS_PER_GROUP - 1, 30_000);
  expect(names.map((name) => activeOf(name)?.podUid)).toEqual(holders);
  expect(breaches(observer)).toEqual([]);
  expect(observer.messages.slice(from).filter(({ headers }) => headers['Rollcall-Reason'] === 'RoleChange')).toEqual(
    [],
  );
}, 60_000);

test('the leader is killed as ACTIVE pods are deleted: one ACTIVE again once another leads, never two', async () => {
  const from = observer.mark();
  const some = names.slice(0, BELOW_BRAKE);
  const { leader } = await stage.leaderAndStandby();
  const killed = leader.process.kill('SIGKILL');
  const deletedAtMs = await deleteActive(some);
  await Promise.all([killed, leader.process.restart()]);
  await untilSettled(some, PODS_PER_GROUP - 2, 30_000);
  const withoutMs = longestWithoutMs(from, deletedAtMs);
  process.stdout.write(`promoted after ${Math.round(withoutMs)} ms at most, over a crash\n`);
  expect(withoutMs).toBeLessThanOrEqual(WITHOUT_MS + CRASH_MS);
  expect(breaches(observer)).toEqual([]);
  await stage.untilEvent(NAMESPACE, `ServiceRegistration/${serviceOf(0)}`, 'RoleChanged', 30_000);
}, 120_000);
