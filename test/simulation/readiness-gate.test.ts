// The readiness gate of one pod at a time, on the whole operator and fake time: what opens it, what is said while it stays
// closed, and who says it.

import { expect, test } from 'vitest';
import { seeded } from './support/seeded.ts';
import { GATE_TIMEOUT_MS, PLAIN, type Truth, World } from './support/world.ts';

/** After this an undisturbed operator has said what there is to say. */
const SAID_MS = 10_000;

const aWorld = async (replicas = 1): Promise<World> => {
  const world = new World(seeded(1));
  for (let i = 0; i < replicas; i += 1) world.startReplica();
  await world.clock.advance(5_000);
  return world;
};

const gateOf = (world: World, pod: Truth) => {
  const { status, reason, message } = world.gateOf(pod) ?? {};
  return { status, reason, message };
};

const podEvents = (world: World, pod: Truth) =>
  world.api
    .list('Event')
    .filter((event) => (event['regarding'] as { uid: string }).uid === pod.uid)
    .map((event) => event['reason']);

const gatePatches = (world: World) => world.api.requests.get('PATCH pods') ?? 0;

test('opens once the key is acknowledged, with one write, and stays open whatever the pod does', async () => {
  const world = await aWorld(2);
  const pod = world.addPod('a', false, true);
  await world.clock.advance(SAID_MS);
  expect(gateOf(world, pod)).toEqual({});
  world.setReady(pod, true);
  await world.clock.advance(500);
  const [key] = world.stream.messages('$KV.service-registry.service-instances.>');
  expect(gateOf(world, pod)).toEqual({
    status: 'True',
    reason: 'Registered',
    message: `${key?.subject.slice('$KV.service-registry.'.length)} stands.`,
  });
  world.setReady(pod, false);
  await world.clock.advance(60_000);
  world.setReady(pod, true);
  await world.clock.advance(SAID_MS);
  expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'Registered' });
  expect(gatePatches(world)).toBe(1);
  await world.end();
});

test('a pod that does not list it is left alone', async () => {
  const world = await aWorld();
  const pod = world.addPod('a', true, false);
  await world.clock.advance(SAID_MS);
  expect(gateOf(world, pod)).toEqual({});
  expect(gatePatches(world)).toBe(0);
  await world.end();
});

test('the key is not said UNHEALTHY between the opening and the kubelet having seen it', async () => {
  const world = await aWorld();
  world.addPod('a', true, true);
  await world.clock.advance(SAID_MS);
  const values = world.stream
    .history()
    .flatMap((entry) => (entry.kind === 'stored' ? Buffer.from(entry.message.body).toString() : []));
  expect(values.some((value) => value.includes('"ACTIVE"'))).toBe(true);
  expect(values.some((value) => value.includes('"UNHEALTHY"'))).toBe(false);
  await world.end();
});

test.each<[string, (world: World, pod: Truth) => void, string, RegExp, (world: World) => unknown]>([
  [
    'nobody selects the pod',
    (world) => world.setSpec(undefined),
    'NotSelected',
    /No ServiceRegistration selects/,
    (world) => world.setSpec(PLAIN),
  ],
  [
    'the registration is suspended',
    (world) => world.setSpec({ ...PLAIN, suspend: true }),
    'Suspended',
    /spec\.suspend/,
    (world) => world.setSpec(PLAIN),
  ],
  [
    'another namespace has the name',
    (world) => {
      world.setSpec(undefined);
      world.api.put('Namespace', { metadata: { name: 'a-first' } });
      world.api.put('ServiceRegistration', { metadata: { name: 'web', namespace: 'a-first' }, spec: {} });
      world.setSpec(PLAIN);
    },
    'NameDenied',
    /a-first/,
    (world) => world.api.delete('ServiceRegistration', 'a-first', 'web'),
  ],
  [
    'somebody else holds the key',
    (world, pod) =>
      world.stream.put(`$KV.service-registry.service-instances.web.web-${pod.uid.slice(0, 8)}`, 'mine', {}),
    'Conflict',
    /is held by/,
    (world) => world.setSpec({ ...PLAIN, onConflict: 'Adopt' }),
  ],
])('stays closed and says why: %s', async (_, fault, reason, message, remedy) => {
  const world = await aWorld();
  const pod = world.addPod('a', false, true);
  fault(world, pod);
  await world.clock.advance(1_000);
  world.setReady(pod, true);
  await world.clock.advance(SAID_MS);
  expect(gateOf(world, pod)).toEqual({ status: 'False', reason, message: expect.stringMatching(message) });
  // Once, however long it takes.
  await world.clock.advance(120_000);
  expect(gatePatches(world)).toBe(1);
  remedy(world);
  await world.clock.advance(SAID_MS);
  expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'Registered' });
  await world.end();
});

test('what nobody selects is told on the pod as an Event', async () => {
  const world = await aWorld();
  world.setSpec(undefined);
  // Two watches tell of the two in any order.
  await world.clock.advance(1_000);
  const pod = world.addPod('a', true, true);
  await world.clock.advance(SAID_MS);
  expect(podEvents(world, pod)).toEqual(['NotSelected']);
  await world.end();
});

test('without the registry it opens after the time limit, for new pods too, and says so', async () => {
  const world = await aWorld();
  for (const { registry } of world.replicas) registry.setLink('disconnected');
  const pod = world.addPod('a', true, true);
  await world.clock.advance(GATE_TIMEOUT_MS - 5_000);
  expect(gateOf(world, pod)).toEqual({});
  await world.clock.advance(10_000);
  expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'RegistryUnavailable' });
  expect(podEvents(world, pod)).toEqual(['RegistryUnavailable']);
  const later = world.addPod('b', true, true);
  await world.clock.advance(5_000);
  expect(gateOf(world, later)).toMatchObject({ status: 'True', reason: 'RegistryUnavailable' });
  await world.end();
});

test('the leader dies as the registry goes: the other replica, which has no say, opens it all the same', async () => {
  const world = await aWorld(2);
  const { leader } = world;
  if (leader === undefined) throw new Error('nobody leads');
  for (const { registry } of world.replicas) registry.setLink('disconnected');
  await world.kill(leader);
  const pod = world.addPod('a', true, true);
  await world.clock.advance(GATE_TIMEOUT_MS - 10_000);
  expect(gateOf(world, pod)).toEqual({});
  await world.clock.advance(20_000);
  expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'RegistryUnavailable' });
  await world.end();
});

test('a replica that alone is cut off from the registry opens nothing that the leader keeps closed', async () => {
  const world = await aWorld(2);
  world.setSpec(undefined);
  const cutOff = world.replicas.find((replica) => replica !== world.leader);
  cutOff?.registry.setLink('disconnected');
  const pod = world.addPod('a', true, true);
  await world.clock.advance(3 * GATE_TIMEOUT_MS);
  expect(gateOf(world, pod)).toMatchObject({ status: 'False', reason: 'NotSelected' });
  world.setSpec(PLAIN);
  await world.clock.advance(SAID_MS);
  expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'Registered' });
  await world.end();
});

test('a leader that was cut off long ago does not let new pods through, which its successor registers', async () => {
  const world = await aWorld(2);
  const former = world.leader;
  former?.registry.setLink('disconnected');
  await world.clock.advance(GATE_TIMEOUT_MS + 10_000);
  expect(world.leader).not.toBe(former);
  for (const name of ['a', 'b', 'c']) {
    const pod = world.addPod(name, true, true);
    await world.clock.advance(SAID_MS);
    expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'Registered' });
    expect(podEvents(world, pod)).not.toContain('RegistryUnavailable');
  }
  await world.end();
});

test('refused writes are tried again ever more rarely, and hold up no key', async () => {
  const world = await aWorld();
  const [replica] = world.replicas;
  // The watch that stands goes on.
  replica?.api.faults.answer(503, { fraction: 1, plural: 'pods' });
  const pod = world.addPod('a', true, true);
  await world.clock.advance(SAID_MS);
  expect(world.stream.messages('$KV.service-registry.service-instances.>')).toHaveLength(1);
  expect(gateOf(world, pod)).toEqual({});
  expect(gatePatches(world)).toBeGreaterThan(3);
  expect(gatePatches(world)).toBeLessThan(15);
  replica?.api.faults.pass();
  await world.clock.advance(30_000);
  expect(gateOf(world, pod)).toMatchObject({ status: 'True', reason: 'Registered' });
  await world.end();
});
