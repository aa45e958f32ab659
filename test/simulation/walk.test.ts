// The differential oracle: fifty random edits in a running installation end in the same bucket, the same status and the
// same owned resources as the last state alone. `WALK=n` replays one
// seed; `WALKS=n` walks that many.

import { expect, test } from 'vitest';
import type { Random } from '../../src/clock.ts';
import { asObject } from '../../src/domain/raw.ts';
import type { Given, Kind } from '../support/fake-api.ts';
import { annotationsOf, EMPTY, edited, mended, type WalkState } from '../support/walk.ts';
import { byText, endOf, type WalkEnd } from '../support/walk-end.ts';
import { between, seeded } from './support/seeded.ts';
import { BUCKET, World } from './support/world.ts';

const EDITS = 50;
/** Longer than every TTL, the markers' included. */
const SETTLE_MS = 75_000;
const NAMESPACE = 'default';

const onlySeed = process.env['WALK'];
const count = Number(process.env['WALKS'] ?? 20);
const seeds = onlySeed === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(onlySeed)];

// ---- a state as objects of the API ----

type Entry = { readonly kind: Kind; readonly object: Given };

const uidOf = (what: string, incarnation: number): string => {
  let hash = 0x811c9dc5;
  for (const char of `${what} ${incarnation}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return `${hash.toString(16).padStart(8, '0')}-0000-4000-8000-${incarnation.toString(16).padStart(12, '0')}`;
};
const bornAt = (born: number): string => new Date(Date.UTC(2026, 10, 23, 8) + born * 1_000).toISOString();

const podEntry = (name: string, uid: string, born: number, metadata: object, ready: boolean): Entry => ({
  kind: 'Pod',
  object: {
    metadata: { name, namespace: NAMESPACE, uid, creationTimestamp: bornAt(born), ...metadata },
    spec: {
      nodeName: 'node-a',
      containers: [{ name: 'app', image: 'app:1.2.3', ports: [{ name: 'http', containerPort: 80 }] }],
    },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      startTime: bornAt(born),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: bornAt(born) }],
    },
  },
});

const controlledBy = (kind: string, name: string, uid: string) => ({
  ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid, controller: true }],
});

const deploymentEntries = ({ deployment }: WalkState): readonly Entry[] => {
  if (deployment === undefined) return [];
  const { incarnation, born, annotations, replicas, template } = deployment;
  const uid = uidOf('deployment', incarnation);
  const setUid = uidOf('replicaset', template.born);
  const selector = { matchLabels: { app: 'gamma' } };
  const identity = { namespace: NAMESPACE, creationTimestamp: bornAt(born) };
  return [
    {
      kind: 'Deployment',
      object: {
        metadata: { ...identity, name: 'gamma', uid, annotations: annotationsOf(annotations) },
        spec: { selector },
      },
    },
    {
      kind: 'ReplicaSet',
      object: {
        metadata: {
          ...identity,
          name: `gamma-${template.born}`,
          uid: setUid,
          ...controlledBy('Deployment', 'gamma', uid),
        },
        spec: { selector },
      },
    },
    ...Array.from({ length: replicas }, (_, i) =>
      podEntry(
        `gamma-${template.born}-${i}`,
        uidOf(`gamma-${i}`, template.born),
        template.born,
        {
          labels: { app: 'gamma' },
          annotations: annotationsOf(template.annotations),
          ...controlledBy('ReplicaSet', `gamma-${template.born}`, setUid),
        },
        true,
      ),
    ),
  ];
};

const entriesOf = (state: WalkState): readonly Entry[] => [
  { kind: 'Namespace', object: { metadata: { name: NAMESPACE, annotations: annotationsOf(state.annotations) } } },
  ...Object.entries(state.resources).map(
    ([name, { incarnation, born, spec }]): Entry => ({
      kind: 'ServiceRegistration',
      object: {
        metadata: { name, namespace: NAMESPACE, uid: uidOf(name, incarnation), creationTimestamp: bornAt(born) },
        spec,
      },
    }),
  ),
  ...deploymentEntries(state),
  ...Object.entries(state.pods).map(([name, { incarnation, born, labels, annotations, ready }]) =>
    podEntry(name, uidOf(name, incarnation), born, { labels, annotations: annotationsOf(annotations) }, ready),
  ),
];

const idOf = ({ kind, object }: Entry): string => `${kind}/${object.metadata.name}`;

/** Makes the cluster follow: what changed is written, what is no longer there is deleted. */
const follow = (world: World, before: WalkState, after: WalkState): void => {
  const wanted = new Map(entriesOf(after).map((entry) => [idOf(entry), entry]));
  const had = new Map(entriesOf(before).map((entry) => [idOf(entry), JSON.stringify(entry)]));
  for (const entry of entriesOf(before)) {
    if (!wanted.has(idOf(entry))) world.api.delete(entry.kind, NAMESPACE, entry.object.metadata.name);
  }
  for (const [id, { kind, object }] of wanted) {
    if (had.get(id) === JSON.stringify({ kind, object })) continue;
    const stored = world.api.get(kind, NAMESPACE, object.metadata.name);
    const same = stored?.metadata.uid === object.metadata['uid'];
    world.api.put(kind, same && kind === 'ServiceRegistration' ? { ...stored, ...object } : object);
  }
};

// ---- what there is in the end ----

/** What an owned resource is called depends on which names were taken when it was made; whose it is does not. */
const nameOf = (metadata: Given['metadata']): string =>
  metadata['ownerReferences'] === undefined ? metadata.name : `owned ${JSON.stringify(metadata['ownerReferences'])}`;

const endOfWorld = (world: World): WalkEnd => {
  const keys = world.stream
    .messages('$KV.>')
    .filter(({ operation }) => operation === 'PUT')
    .map(({ subject, body, headers, ttlSeconds }) => ({
      key: subject.slice(`$KV.${BUCKET}.`.length),
      value: asObject(JSON.parse(Buffer.from(body).toString())) ?? {},
      ttlSeconds,
      owner: headers['Rollcall-Owner'],
    }));
  const resources = world.api.list('ServiceRegistration').map(({ metadata, spec, status }) => ({
    name: nameOf(metadata),
    labels: metadata['labels'],
    owners: metadata['ownerReferences'],
    spec,
    status,
    generation: Number(metadata['generation']),
  }));
  const end = endOf(keys, resources);
  return {
    keys: end.keys.toSorted(byText),
    groups: end.groups.toSorted(byText),
    resources: end.resources.toSorted(byText),
  };
};

const worldOf = (random: Random): World => {
  const world = new World(random);
  world.setSpec(undefined);
  world.startReplica();
  return world;
};

const walk = async (seed: number) => {
  const random = seeded(seed);
  const world = worldOf(random);
  await world.clock.advance(2_000);
  let state = EMPTY;
  for (let i = 0; i <= EDITS; i += 1) {
    const next = i === EDITS ? mended(state) : edited(random, state);
    follow(world, state, next);
    state = next;
    // Some edits follow at once, some come to rest between.
    await world.clock.advance(random() < 0.3 ? 0 : between(random, 0, 6_000));
  }
  await world.clock.advance(SETTLE_MS);
  const end = endOfWorld(world);
  await world.end();
  return { state, end };
};

const afresh = async (state: WalkState) => {
  const world = worldOf(seeded(0));
  await world.clock.advance(2_000);
  follow(world, EMPTY, state);
  await world.clock.advance(SETTLE_MS);
  const end = endOfWorld(world);
  await world.end();
  return end;
};

test.each(seeds)('seed %i: fifty edits end where their last state begins', async (seed) => {
  const { state, end } = await walk(seed);
  expect(end).toEqual(await afresh(state));
  expect(end.groups.filter(({ active }) => active !== 1)).toEqual([]);
});

test('the walks lead somewhere', async () => {
  const ends = await Promise.all([1, 2, 3, 4, 5, 6].map(walk));
  expect(ends.flatMap(({ end }) => end.groups).length).toBeGreaterThan(0);
  expect(ends.flatMap(({ end }) => end.keys).length).toBeGreaterThan(5);
  expect(ends.flatMap(({ end }) => end.resources).length).toBeGreaterThan(5);
});
