// Nodes that are lost, on the whole operator and fake time: few, many, all at once, and what Kubernetes says of them.

import { afterEach, expect, test } from 'vitest';
import { asList, asObject } from '../../src/domain/raw.ts';
import { formatSeconds } from '../../src/domain/timestamp.ts';
import type { Kubelets } from './support/kubelets.ts';
import { between, seeded } from './support/seeded.ts';
import { type Truth, World } from './support/world.ts';

const PREFIX = '$KV.service-registry.service-instances.';
const PODS = 15;

let world: World;
let kubelets: Kubelets;
let settledAtMs: number;

afterEach(() => world.end());

/** Ready pods on five nodes, all with keys, and leases that have all moved. */
const aWorld = async (seed: number, count = PODS): Promise<readonly Truth[]> => {
  const random = seeded(seed);
  world = new World(random);
  kubelets = world.addNodes();
  const pods = Array.from({ length: count }, (_, i) => world.addPod(`pod-${i}`, true, false));
  world.startReplica();
  world.startReplica();
  await world.clock.advance(30_000 + between(random, 0, 10_000));
  settledAtMs = world.clock.monotonicMs();
  expect(pods.map(statusOf)).toEqual(pods.map(() => 'ACTIVE'));
  return pods;
};

const bodyOf = (body: Uint8Array) => JSON.parse(Buffer.from(body).toString()) as { readonly status: string };

const statusOf = ({ uid }: Truth): string | undefined => {
  const messages = world.stream.messages(`${PREFIX}>`).filter(({ operation }) => operation === 'PUT');
  const found = messages.find(({ headers }) => headers['Rollcall-Owner']?.endsWith(uid));
  return found === undefined ? undefined : bodyOf(found.body).status;
};

/** What was ever said of keys since the world was settled but that they are ACTIVE. */
const troubles = (): readonly string[] =>
  world.stream.history().flatMap((entry) => {
    if (entry.atMs < settledAtMs) return [];
    if (entry.kind !== 'stored') return entry.subject.startsWith(PREFIX) ? [`${entry.kind} ${entry.subject}`] : [];
    const { subject, operation, body } = entry.message;
    if (!subject.startsWith(PREFIX)) return [];
    return operation === 'PUT' && bodyOf(body).status === 'ACTIVE' ? [] : [`${operation} ${subject}`];
  });

const on = (pods: readonly Truth[], ...nodes: readonly number[]) =>
  pods.filter(({ node }) => nodes.some((index) => node === `node-${index}`));

const until = (pods: readonly Truth[], status: string | undefined, limitMs: number) =>
  world.clock.until(() => pods.every((pod) => statusOf(pod) === status), limitMs);

const degraded = (): unknown => {
  const status = asObject(world.api.get('ServiceRegistration', 'default', 'web')?.['status']);
  const conditions = asList(status?.['conditions']).map(asObject);
  return conditions.find((condition) => condition?.['type'] === 'Degraded')?.['reason'];
};

/** As the node controller does it, node by node; of a node and its pods two watches tell, here the slower one of the node. */
const markLost = async (pods: readonly Truth[], ...nodes: readonly number[]): Promise<void> => {
  for (const index of nodes) {
    for (const pod of on(pods, index)) world.mark(pod, true);
    await world.clock.advance(400);
    kubelets.say(`node-${index}`, 'Unknown');
  }
};

const release = (name: string): void => {
  const stored = world.api.get('ServiceRegistration', 'default', name);
  if (stored === undefined) throw new Error('no registration');
  const annotations = { 'rollcall.dev/release-brake': formatSeconds(world.clock.wallMs() + 1_000) };
  world.api.put('ServiceRegistration', { ...stored, metadata: { ...stored.metadata, annotations } });
};

test.each([
  1, 2, 3, 4, 5,
])('a lost node takes its keys along, and no others; they are back when it speaks (seed %i)', async (seed) => {
  const pods = await aWorld(seed);
  const lost = on(pods, 2);
  kubelets.silence('node-2');
  const toldMs = await until(lost, 'UNHEALTHY', 30_000);
  expect(toldMs).toBeGreaterThan(10_000);
  expect((await until(lost, undefined, 30_500)) + toldMs).toBeLessThanOrEqual(60_500);
  expect(on(pods, 0, 1, 3, 4).map(statusOf)).toEqual(on(pods, 0, 1, 3, 4).map(() => 'ACTIVE'));
  // Kubernetes says so as well by now, and for a moment after the node is back.
  await markLost(pods, 2);
  await world.clock.advance(5_000);
  kubelets.speak('node-2');
  await world.clock.advance(2_000);
  expect(lost.map(statusOf)).toEqual(lost.map(() => undefined));
  kubelets.say('node-2', 'True');
  for (const pod of lost) world.mark(pod, false);
  await until(lost, 'ACTIVE', 2_000);
});

test('a node that speaks again before Kubernetes has noticed anything', async () => {
  const pods = await aWorld(6);
  kubelets.silence('node-0');
  await until(on(pods, 0), 'UNHEALTHY', 30_000);
  kubelets.speak('node-0');
  await until(on(pods, 0), 'ACTIVE', 2_000);
});

test.each([
  3_000, 8_000, 12_000, 15_000, 20_000, 30_000, 90_000,
])('no lease moves for %i ms: nothing changes, during it and after', async (ms) => {
  const pods = await aWorld(ms);
  kubelets.stalled = true;
  await world.clock.advance(ms);
  kubelets.stalled = false;
  await world.clock.advance(60_000);
  expect(troubles()).toEqual([]);
  expect(pods.map(statusOf)).toEqual(pods.map(() => 'ACTIVE'));
});

test('three of five are lost: held, also when Kubernetes says so, until a person knows better', async () => {
  const pods = await aWorld(7);
  for (const node of ['node-0', 'node-1', 'node-2']) kubelets.silence(node);
  await world.clock.until(() => degraded() === 'Holding', 40_000);
  await markLost(pods, 0, 1, 2);
  await world.clock.advance(120_000);
  expect(troubles()).toEqual([]);
  expect(world.replicas.map(({ operator }) => operator.nodes)).toEqual([
    { silent: 0, held: 3 },
    { silent: 0, held: 3 },
  ]);
  release('web');
  const lost = on(pods, 0, 1, 2);
  await until(
    lost.filter(({ app }) => app === 'web'),
    'UNHEALTHY',
    3_000,
  );
  const canaries = lost.filter(({ app }) => app === 'web-canary');
  expect(canaries.map(statusOf)).toEqual(canaries.map(() => 'ACTIVE'));
  // A replica that comes later agrees with the others.
  const { leader } = world;
  if (leader === undefined) throw new Error('nobody leads');
  for (const replica of [...world.replicas]) await world.stop(replica);
  world.startReplica();
  await world.clock.advance(60_000);
  expect(lost.filter(({ app }) => app === 'web').map(statusOf)).not.toContain('ACTIVE');
  expect(canaries.map(statusOf)).toEqual(canaries.map(() => 'ACTIVE'));
});

test('after an outage of the API server Kubernetes takes most nodes for lost, one after the other: nothing changes', async () => {
  const pods = await aWorld(8);
  await markLost(pods, 0, 1, 2, 3);
  await world.clock.advance(30_000);
  for (const index of [0, 1, 2, 3]) kubelets.say(`node-${index}`, 'True');
  for (const pod of pods) world.mark(pod, false);
  await world.clock.advance(30_000);
  expect(troubles().filter((trouble) => !trouble.startsWith('PUT'))).toEqual([]);
  expect(troubles()).toEqual([]);
});

test('one node that Kubernetes takes for lost is believed, though its lease moves', async () => {
  const pods = await aWorld(9);
  await markLost(pods, 3);
  await until(on(pods, 3), 'UNHEALTHY', 10_000);
});

test('what a kubelet says of its pods is believed at once, also of nodes that are held', async () => {
  const pods = await aWorld(10);
  for (const node of ['node-0', 'node-1', 'node-2']) kubelets.silence(node);
  await world.clock.until(() => degraded() === 'Holding', 40_000);
  const [pod] = on(pods, 0);
  if (pod === undefined) throw new Error('no pod');
  world.setReady(pod, false);
  await until([pod], 'UNHEALTHY', 2_000);
  world.deletePod(on(pods, 1)[0] ?? pod);
  await until(on(pods, 1).slice(0, 1), 'UNHEALTHY', 2_000);
});

test('lists that lack the nodes, and everything else, do not bring back the lost ones', async () => {
  const pods = await aWorld(11, 30);
  kubelets.silence('node-1');
  const lost = on(pods, 1);
  await until(lost, 'UNHEALTHY', 30_000);
  world.showEmptyLists();
  for (let second = 0; second < 50; second += 1) {
    await world.clock.advance(1_000);
    expect(lost.map(statusOf)).not.toContain('ACTIVE');
  }
  for (const { api } of world.replicas) api.faults.emptyLists = false;
  await world.clock.advance(60_000);
  expect(lost.map(statusOf)).not.toContain('ACTIVE');
  expect(on(pods, 0, 2, 3, 4).map(statusOf)).toEqual(on(pods, 0, 2, 3, 4).map(() => 'ACTIVE'));
});
