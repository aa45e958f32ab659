// The API server away, for one replica or for all, on the whole operator and fake time.

import { afterEach, expect, test } from 'vitest';
import { asList, asObject } from '../../src/domain/raw.ts';
import { LOCK } from './support/lead-judge.ts';
import { seeded } from './support/seeded.ts';
import { PLAIN, RELIST_INTERVAL_MS, type Truth, World } from './support/world.ts';

const KEYS = '$KV.service-registry.service-instances.>';

let world: World;

afterEach(() => world.end());

/** Some Ready pods, all with live keys. */
const aWorld = async (seed: number, replicas: number, pods = 6): Promise<readonly Truth[]> => {
  world = new World(seeded(seed));
  const made = Array.from({ length: pods }, (_, i) => world.addPod(`pod-${i}`, true, false));
  for (let i = 0; i < replicas; i += 1) world.startReplica();
  await world.clock.advance(30_000);
  expect(standing()).toHaveLength(pods);
  return made;
};

const standing = () => world.stream.messages(KEYS).filter(({ operation }) => operation === 'PUT');

const valueOf = (body: Uint8Array): Record<string, unknown> => JSON.parse(Buffer.from(body).toString());

/** By subject, without what a refresh changes. */
const contents = () =>
  Object.fromEntries(standing().map(({ subject, body }) => [subject, { ...valueOf(body), lastHeartbeat: '' }]));

const ownerOf = (pod: Truth) => standing().find(({ headers }) => headers['Rollcall-Owner']?.endsWith(pod.uid));

const lapsesSince = (atMs: number) =>
  world.stream
    .history()
    .filter((entry) => entry.kind === 'lapsed' && entry.atMs >= atMs && entry.subject.startsWith('$KV'));

const readyReason = () => {
  const status = asObject(world.api.get('ServiceRegistration', 'default', 'web')?.['status']);
  return asList(status?.['conditions'])
    .map(asObject)
    .find((condition) => condition?.['type'] === 'Ready')?.['reason'];
};

test('pods that die in blindness and answered before are gone within 45 s, and nobody else is', async () => {
  const pods = await aWorld(1, 2);
  for (const { api } of world.replicas) api.faults.cut();
  await world.clock.advance(20_000);
  const dead = pods.slice(0, 2);
  for (const pod of dead) world.deletePod(pod);
  const diedAtMs = world.clock.monotonicMs();
  const endedMs = await world.clock.until(() => dead.every((pod) => ownerOf(pod) === undefined), 100_000);
  expect(endedMs - diedAtMs).toBeLessThanOrEqual(45_000);
  await world.clock.advance(600_000);
  expect(pods.slice(2).every((pod) => ownerOf(pod) !== undefined)).toBe(true);
});

test.each([
  ['Generated', undefined],
  ['PodName', 'blue'],
] as const)('started without the API server (%s, group %s): what stands is kept as it is, and nothing is made', async (instanceId, group) => {
  const pods = await aWorld(2, 1);
  world.setSpec({ ...PLAIN, instanceId, ...(group === undefined ? {} : { stickyActiveGroup: group }) });
  await world.clock.advance(100_000);
  const [first] = world.replicas;
  if (first === undefined) throw new Error('no replica');
  await world.kill(first);
  const before = contents();
  expect(Object.keys(before)).toHaveLength(pods.length);
  const startedAtMs = world.clock.monotonicMs();
  const second = world.startReplica();
  second.api.faults.cut();
  // Neither of these can be known of.
  const unknown = world.addPod('unknown', true, false);
  const [gone] = pods;
  if (gone === undefined) throw new Error('no pod');
  world.deletePod(gone);
  await world.clock.advance(290_000);
  expect(lapsesSince(startedAtMs)).toEqual([]);
  expect(contents()).toEqual(before);
  expect(second.operator.writer.leading).toBe(true);
  expect(ownerOf(unknown)).toBeUndefined();
  second.api.faults.pass();
  await world.clock.advance(90_000);
  const after = contents();
  expect(Object.keys(after)).toHaveLength(pods.length);
  expect(lapsesSince(startedAtMs).length).toBeLessThanOrEqual(1);
  expect(ownerOf(unknown)).toBeDefined();
  expect(ownerOf(gone)).toBeUndefined();
});

test('started without the API server, it lets go of everything in the end', async () => {
  await aWorld(3, 1);
  const [first] = world.replicas;
  if (first === undefined) throw new Error('no replica');
  await world.kill(first);
  world.startReplica().api.faults.cut();
  await world.clock.advance(300_000 + 60_000 + 45_000);
  expect(standing()).toEqual([]);
});

test('a replica that can list is not kept waiting by one that cannot', async () => {
  world = new World(seeded(4));
  world.addPod('pod-0', true, false);
  const cut = world.startReplica();
  cut.api.faults.cut();
  const seeing = world.startReplica();
  await world.clock.advance(2_500);
  expect(seeing.operator.writer.leading).toBe(true);
  expect(standing()).toHaveLength(1);
});

test('as soon as the API server answers again every status says that it is not known to be right, then what is', async () => {
  await aWorld(5, 1);
  expect(readyReason()).toBe('Registered');
  const [replica] = world.replicas;
  replica?.api.faults.cut();
  await world.clock.advance(120_000);
  expect(readyReason()).toBe('Registered');
  replica?.api.faults.pass();
  const told: unknown[] = [];
  const watched = await world.clock.until(() => {
    const reason = readyReason();
    if (reason !== told.at(-1)) told.push(reason);
    return told.length === 3;
  }, 60_000);
  expect(watched).toBeGreaterThan(0);
  expect(told).toEqual(['Registered', 'ViewStale', 'Registered']);
});

/** Who took the lock since, in order. */
const holdersSince = (atMs: number): readonly string[] => {
  const holders: string[] = [];
  for (const entry of world.stream.history()) {
    if (entry.kind !== 'stored' || entry.atMs < atMs || entry.message.subject !== LOCK) continue;
    const holder = entry.message.headers['Rollcall-Holder'];
    if (entry.message.operation === 'PUT' && holder !== undefined && holder !== holders.at(-1)) holders.push(holder);
  }
  return holders;
};

test('a leader that alone cannot hear the API server yields within 20 s to one that can, and does not come back', async () => {
  await aWorld(6, 2);
  const { leader } = world;
  const other = world.replicas.find((replica) => replica !== leader);
  if (leader === undefined || other === undefined) throw new Error('no leader');
  const cutAtMs = world.clock.monotonicMs();
  leader.api.faults.cut();
  const yieldedMs = await world.clock.until(() => other.operator.writer.leading, 60_000);
  expect(yieldedMs - cutAtMs).toBeLessThanOrEqual(20_000);
  await world.clock.advance(120_000);
  leader.api.faults.pass();
  await world.clock.advance(120_000);
  expect(holdersSince(cutAtMs)).toEqual([leader.name, other.name]);
  expect(lapsesSince(cutAtMs)).toEqual([]);
});

test('also where the clock of the NATS server was set back meanwhile', async () => {
  await aWorld(9, 2);
  const { leader } = world;
  const other = world.replicas.find((replica) => replica !== leader);
  if (leader === undefined || other === undefined) throw new Error('no leader');
  world.stream.jumpClock(-3_600_000);
  const cutAtMs = world.clock.monotonicMs();
  leader.api.faults.cut();
  const yieldedMs = await world.clock.until(() => other.operator.writer.leading, 60_000);
  expect(yieldedMs - cutAtMs).toBeLessThanOrEqual(20_000);
});

test('where nobody hears the API server the leader stays', async () => {
  await aWorld(7, 3);
  const cutAtMs = world.clock.monotonicMs();
  for (const { api } of world.replicas) api.faults.cut();
  await world.clock.advance(200_000);
  expect(holdersSince(cutAtMs)).toHaveLength(1);
  expect(lapsesSince(cutAtMs)).toEqual([]);
});

test('a leader that yields to one that then cannot lead is back in time, and tries again only later', async () => {
  await aWorld(8, 2);
  const { leader } = world;
  const other = world.replicas.find((replica) => replica !== leader);
  if (leader === undefined || other === undefined) throw new Error('no leader');
  const cutAtMs = world.clock.monotonicMs();
  leader.api.faults.cut();
  await world.clock.advance(14_000);
  // It announced itself a moment ago, and is no more.
  other.registry.setLink('disconnected');
  await world.clock.advance(100_000);
  expect(lapsesSince(cutAtMs)).toEqual([]);
  expect(leader.operator.writer.leading).toBe(true);
});

test('a death that no watch told is a ghost until the next relist, and no longer', async () => {
  const pods = await aWorld(11, 2);
  const [dead, other] = pods;
  if (dead === undefined || other === undefined) throw new Error('no pods');
  for (const { api } of world.replicas) api.faults.lineFate = () => 'drop';
  world.deletePod(dead);
  for (const { api } of world.replicas) api.faults.lineFate = () => 'pass';
  // A later event, after which the stream looks healthy.
  world.setReady(other, false);
  const diedAtMs = world.clock.monotonicMs();
  await world.clock.advance(60_000);
  expect(ownerOf(dead)).toBeDefined();
  const goneMs = await world.clock.until(() => ownerOf(dead) === undefined, 2 * RELIST_INTERVAL_MS);
  expect(goneMs - diedAtMs).toBeLessThanOrEqual(1.25 * RELIST_INTERVAL_MS + 30_000 + 10_000);
  expect(standing()).toHaveLength(pods.length - 2);
});
