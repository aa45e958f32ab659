// What the brakes hold, and what lets it go, on the whole operator and fake time.

import { afterEach, expect, test } from 'vitest';
import { asList, asObject } from '../../src/domain/raw.ts';
import { formatSeconds } from '../../src/domain/timestamp.ts';
import { seeded } from './support/seeded.ts';
import { REGISTRATIONS, World } from './support/world.ts';

const KEYS = '$KV.service-registry.service-instances.>';
const PODS = 40;

let world: World;

afterEach(() => world.end());

const aWorld = async (seed: number): Promise<void> => {
  world = new World(seeded(seed));
  for (let i = 0; i < PODS; i += 1) world.addPod(`pod-${i}`, true, false);
  world.startReplica();
  world.startReplica();
  await world.clock.advance(30_000);
};

/** How many keys stand, by what they say. */
const told = () => {
  const values = world.stream.messages(KEYS).filter(({ operation }) => operation === 'PUT');
  const statuses = values.map(({ body }) => (JSON.parse(Buffer.from(body).toString()) as { status: string }).status);
  const of = (wanted: string) => statuses.filter((status) => status === wanted).length;
  return { active: of('ACTIVE'), unhealthy: of('UNHEALTHY') };
};

const annotate = (name: string, value: string): void => {
  const stored = world.api.get('ServiceRegistration', 'default', name);
  if (stored === undefined) throw new Error('no registration');
  const annotations = { 'rollcall.dev/release-brake': value };
  world.api.put('ServiceRegistration', { ...stored, metadata: { ...stored.metadata, annotations } });
};

const degraded = (name: string): unknown => {
  const status = asObject(world.api.get('ServiceRegistration', 'default', name)?.['status']);
  const conditions = asList(status?.['conditions']).map(asObject);
  return conditions.find((condition) => condition?.['type'] === 'Degraded')?.['reason'];
};

const eventsOf = (reason: string) => world.api.list('Event').filter((event) => event['reason'] === reason);

const held = () => Math.max(...world.replicas.map(({ operator }) => operator.held));

/** Both replicas are shown empty lists from now on. */
const emptied = async (): Promise<void> => {
  world.showEmptyLists();
  await world.clock.until(() => held() >= PODS, 20_000);
  await world.clock.until(() => degraded('web') === 'Holding', 10_000);
};

test('a person lets go what the brake holds for a resource, and nothing of another', async () => {
  await aWorld(1);
  await emptied();
  await world.clock.until(() => eventsOf('MassLapseHeld').length > 0, 5_000);
  const web = [...world.pods.values()].filter(({ app, ready }) => app === 'web' && ready).length;
  // Before the hold began it means nothing.
  annotate('web', formatSeconds(world.clock.wallMs() - 60_000));
  await world.clock.advance(5_000);
  expect(told()).toEqual({ active: PODS, unhealthy: 0 });
  annotate('web', formatSeconds(world.clock.wallMs() + 1_000));
  await world.clock.advance(3_000);
  expect(told()).toEqual({ active: PODS - web, unhealthy: web });
  expect(eventsOf('InvalidAnnotation')).toEqual([]);
});

test('a value that is no time is told, and lets nothing go', async () => {
  await aWorld(2);
  await emptied();
  for (const name of REGISTRATIONS) annotate(name, 'now');
  await world.clock.advance(5_000);
  expect(told()).toEqual({ active: PODS, unhealthy: 0 });
  // The other one has told of all its pods, and is silent for a while.
  const regarding = () => eventsOf('InvalidAnnotation').map((event) => asObject(event['regarding'])?.['name']);
  await world.clock.until(() => regarding().includes('web-canary'), 20_000);
});

test.each([
  ['is whole again: nothing happens', false],
  ['lacks it as well: then it goes', true],
])('a replica that starts with empty lists keeps what stands, and another list a minute later %s', async (_, stays) => {
  await aWorld(3);
  for (const replica of [...world.replicas]) await world.kill(replica);
  const { api, operator } = world.startReplica();
  api.faults.emptyLists = true;
  await world.clock.until(() => operator.held >= PODS, 20_000);
  await world.clock.advance(55_000);
  expect(told()).toEqual({ active: PODS, unhealthy: 0 });
  api.faults.emptyLists = stays;
  await world.clock.advance(30_000);
  expect(told().active).toBe(stays ? 0 : PODS);
  expect(operator.held).toBe(0);
});

test.each([
  ['is whole again: nothing happens', false],
  ['lacks it as well: then it goes', true],
])('lists that are suddenly empty take nothing away, and another a minute later %s', async (_, stays) => {
  await aWorld(4);
  const emptiedAtMs = world.clock.monotonicMs();
  await emptied();
  const heldAtMs = await world.clock.until(() => eventsOf('MassLapseHeld').length > 0, 5_000);
  expect(heldAtMs).toBeLessThan(5_000);
  await world.clock.advance(emptiedAtMs + 58_000 - world.clock.monotonicMs());
  expect(told()).toEqual({ active: PODS, unhealthy: 0 });
  if (!stays) for (const { api } of world.replicas) api.faults.emptyLists = false;
  await world.clock.advance(50_000);
  expect(told().active).toBe(stays ? 0 : PODS);
  expect(held()).toBe(0);
});

test('pods that are really deleted, however many, are told at once', async () => {
  await aWorld(5);
  for (const pod of world.livingPods) world.deletePod(pod);
  await world.clock.advance(2_000);
  expect(told()).toEqual({ active: 0, unhealthy: PODS });
  expect(held()).toBe(0);
});
