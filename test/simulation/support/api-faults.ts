// What the API server may tell wrongly or late: events behind, dropped, doubled, cut off; watches of one kind silent while
// others live; lists that lack everything; refusals with Retry-After. All of it heals.

import { resources } from '../../../src/kubernetes/resources.ts';
import { type Action, disturbed, pass, RECOVERY_MS, type Scene } from './scene.ts';
import { between, pick } from './seeded.ts';
import type { Replica, World } from './world.ts';

/** With fewer keys a list that lacks all of them is believed: so many may go by absence. */
const BRAKE_KEYS = 20;

const WATCHED = (
  [
    'Pod',
    'ServiceRegistration',
    'Namespace',
    'Deployment',
    'StatefulSet',
    'DaemonSet',
    'ReplicaSet',
    'ServiceNamePolicy',
  ] as const
).map((kind) => resources[kind].plural);

export const API_FAULTS: readonly Action[] = [
  ['all events come late', (scene) => blinded(scene, scene.world.replicas, late(scene))],
  [
    'a replica hears of events late',
    (scene) => blinded(scene, [pick(scene.random, scene.world.replicas)], late(scene)),
  ],
  ['events come twice', (scene) => doubled(scene)],
  ['watches are cut off within a line', (scene) => blinded(scene, scene.world.replicas, cutOff(scene))],
  ['events get lost until the next list', (scene) => dropped(scene)],
  [
    "a replica's watches of one kind are silent",
    (scene) => blinded(scene, [pick(scene.random, scene.world.replicas)], silent(scene)),
  ],
  ['the watches of one kind are silent', (scene) => blinded(scene, scene.world.replicas, silent(scene))],
  ['a replica may not watch one kind', (scene) => forbidden(scene)],
  [
    'the API asks for patience',
    (scene) =>
      blinded(scene, scene.world.replicas, ({ api }) =>
        api.faults.answer(429, { fraction: 0.5, retryAfterSeconds: 1 }),
      ),
  ],
  ['lists are empty', (scene) => emptyLists(scene)],
];

/** In what is logged of a right that is missing. */
export const DENIED = '"kind":"denied"';

type Fault = (replica: Replica) => void;

const late = ({ random }: Scene): Fault => {
  const ms = between(random, 100, 12_000);
  return ({ api }) => {
    api.faults.eventDelayMs = ms;
  };
};

const cutOff =
  ({ random }: Scene): Fault =>
  ({ api }) => {
    api.faults.lineFate = () => (random() < 0.1 ? 'cut' : 'pass');
  };

const silent = ({ random }: Scene): Fault => {
  const plural = pick(random, WATCHED);
  return ({ api }) => api.faults.silenceWatches(plural);
};

const blinded = async (
  { world, judge, random }: Scene,
  replicas: readonly Replica[],
  fault: Fault,
  heal: Fault = () => undefined,
): Promise<void> => {
  const some = [...replicas];
  for (const replica of some) fault(replica);
  const spell = { fromMs: world.clock.monotonicMs(), untilMs: Number.POSITIVE_INFINITY };
  judge.blind.push(spell);
  await pass(world, judge, between(random, 500, 40_000), true);
  for (const replica of some) {
    replica.api.faults.pass();
    heal(replica);
  }
  spell.untilMs = world.clock.monotonicMs() + RECOVERY_MS;
  disturbed(judge, world, RECOVERY_MS);
};

/** No excuse for anything. */
const doubled = async ({ world, judge, random }: Scene): Promise<void> => {
  const some = [...world.replicas];
  for (const { api } of some) api.faults.lineFate = () => (random() < 0.4 ? 'double' : 'pass');
  for (let flaps = 0; flaps < 3; flaps += 1) {
    if (world.livingPods.length > 0) {
      const pod = pick(random, world.livingPods);
      world.setReady(pod, !pod.ready);
    }
    await pass(world, judge, between(random, 100, 6_000));
  }
  for (const { api } of some) api.faults.pass();
};

/** Something happens that nobody notices, and what happened before is forgotten: no watch can go on from where it was. */
const relist = (world: World, replicas: readonly Replica[]): void => {
  world.api.put('Namespace', { metadata: { name: `namespace-${world.clock.monotonicMs()}` } });
  world.api.compact();
  for (const { api } of replicas) api.faults.breakWatches();
};

/** No API server does that; what repairs it is the next list. */
const dropped = (scene: Scene): Promise<void> =>
  blinded(
    scene,
    [...scene.world.replicas],
    ({ api }) => {
      api.faults.lineFate = () => (scene.random() < 0.2 ? 'drop' : 'pass');
    },
    (replica) => relist(scene.world, [replica]),
  );

const forbidden = (scene: Scene): Promise<void> => {
  const plural = pick(scene.random, WATCHED);
  return blinded(
    scene,
    [pick(scene.random, scene.world.replicas)],
    ({ api }) => {
      scene.world.expectedErrors.push(DENIED);
      api.faults.deny(`watch ${plural}`);
      api.faults.breakWatches();
    },
    ({ api }) => api.faults.grant(),
  );
};

/** I15: nothing goes by absence before a second list confirms it, which comes a minute later. */
const emptyLists = async ({ world, judge, random }: Scene): Promise<void> => {
  const standing = world.livingPods.filter((pod) => world.wants(pod)).length;
  // Two empty lists without a whole one between them confirm each other.
  const isClear = world.clock.monotonicMs() > judge.brakedUntilMs + RECOVERY_MS;
  if (standing <= BRAKE_KEYS || world.isLapsing || !isClear) return;
  const some = [...world.replicas];
  for (const { api } of some) api.faults.emptyLists = true;
  relist(world, some);
  world.expectedErrors.push('lacks so much', 'not to be seen');
  judge.braked = true;
  await pass(world, judge, between(random, 1_000, 50_000), true);
  judge.braked = false;
  judge.brakedUntilMs = world.clock.monotonicMs();
  for (const { api } of some) api.faults.pass();
  relist(world, some);
  const nowMs = world.clock.monotonicMs();
  judge.blind.push({ fromMs: nowMs - 50_000, untilMs: nowMs + RECOVERY_MS });
  disturbed(judge, world, RECOVERY_MS);
};
