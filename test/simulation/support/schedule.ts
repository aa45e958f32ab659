// What can happen to a world, by name: people, pods, and faults that heal. A schedule (`play.ts`) picks from it; what
// breaks for good stands in `broken-forever.ts`, faults of the registry's server and of what the API server says apart.

import type { Random } from '../../../src/clock.ts';
import { LOCK } from './lead-judge.ts';
import { letAllSpeak } from './node-faults.ts';
import { type Action, disturbed, outage, pass, RECOVERY_MS, type Scene } from './scene.ts';
import { between, pick } from './seeded.ts';
import { PLAIN, type Replica, type Spec, type World } from './world.ts';

export const ACTIONS: readonly Action[] = [
  ['a pod comes', ({ world, step, random }) => world.addPod(`pod-x${step}`, random() < 0.7)],
  ['a pod comes', ({ world, step, random }) => world.addPod(`pod-y${step}`, random() < 0.7)],
  ['a pod flaps', ({ world, random }) => flap(world, random)],
  ['a pod flaps', ({ world, random }) => flap(world, random)],
  ['a pod flaps', ({ world, random }) => flap(world, random)],
  ['a pod dies', ({ world, random }) => somePod(world, random, (pod) => world.deletePod(pod))],
  ['a pod is replaced under its name', ({ world, random }) => replace(world, random)],
  ['all watches break', (scene) => broken(scene)],
  ['old versions are compacted', (scene) => compacted(scene)],
  ['a replica cannot reach the API', (scene) => apart(scene, (replica) => replica.api.faults.cut())],
  ['the API holds a replica', (scene) => apart(scene, (replica) => replica.api.faults.hold())],
  [
    'the API refuses half of everything',
    (scene) => apart(scene, (replica) => replica.api.faults.answer(503, { fraction: 0.5 })),
  ],
  ['the leader is killed', (scene) => crash(scene)],
  ['the leader is stopped', (scene) => planned(scene)],
  ['the registry stalls for the leader', (scene) => stall(scene, 'stalled')],
  ['the leader is cut from the registry', (scene) => stall(scene, 'disconnected')],
  ['the registry stalls for all', (scene) => stallAll(scene)],
  ['somebody removes a key', ({ world, random }) => removeKey(world, random)],
  ['the spec changes', ({ world, random }) => world.setSpec(otherSpec(random))],
  ['the spec changes', ({ world, random }) => world.setSpec(otherSpec(random))],
  ['the registration is deleted', ({ world }) => world.setSpec(undefined)],
  ['the registration is deleted and made again', ({ world }) => remade(world)],
  ['somebody takes a key', ({ world, random }) => takeKey(world, random)],
  ['the bucket is purged', (scene) => purged(scene)],
  ['the bucket is made anew', (scene) => madeAnew(scene)],
  ['the registry is away for longer than the TTL', (scene) => longOutage(scene)],
  ['the bucket is full', (scene) => fullBucket(scene)],
  ['a third replica comes', ({ world }) => void (world.replicas.length < 3 && world.startReplica())],
  ['a wall clock jumps', ({ world, random }) => world.clock.jumpWall(between(random, -30_000, 30_000))],
];

const somePod = (world: World, random: Random, act: (pod: World['livingPods'][number]) => void): void => {
  if (world.livingPods.length > 0) act(pick(random, world.livingPods));
};

const flap = (world: World, random: Random): void => somePod(world, random, (pod) => world.setReady(pod, !pod.ready));

const replace = (world: World, random: Random): void =>
  somePod(world, random, (pod) => {
    world.deletePod(pod);
    world.addPod(pod.name, random() < 0.7);
  });

const broken = ({ world, judge }: Scene): void => {
  for (const { api } of world.replicas) api.faults.breakWatches();
  const nowMs = world.clock.monotonicMs();
  // Backing off is forgotten after two minutes of health; until then one more failure may cost up to 5 s, and the proof some more.
  const troubled = judge.blind.some(({ untilMs }) => nowMs < untilMs + 120_000);
  if (!troubled) return disturbed(judge, world, 5_000);
  judge.blind.push({ fromMs: nowMs, untilMs: nowMs + RECOVERY_MS });
  disturbed(judge, world, RECOVERY_MS);
};

const compacted = (scene: Scene): void => {
  scene.world.api.compact();
  broken(scene);
};

const apart = async ({ world, judge, random }: Scene, fault: (replica: Replica) => void): Promise<void> => {
  const replica = pick(random, world.replicas);
  fault(replica);
  const spell = { fromMs: world.clock.monotonicMs(), untilMs: Number.POSITIVE_INFINITY };
  judge.blind.push(spell);
  await pass(world, judge, between(random, 100, 25_000), true);
  replica.api.faults.pass();
  spell.untilMs = world.clock.monotonicMs() + RECOVERY_MS;
  disturbed(judge, world, RECOVERY_MS);
};

const crash = async (scene: Scene): Promise<void> => {
  const { world, judge, random } = scene;
  const { leader } = world;
  if (leader === undefined) return;
  await world.kill(leader);
  disturbed(judge, world, 9_000);
  await pass(world, judge, between(random, 0, 3_000));
  world.startReplica(between(random, -60_000, 60_000));
};

/** I16: the lock goes with the last batch, and the next one leads within 2 s. */
const planned = async ({ world, judge }: Scene): Promise<void> => {
  const { leader } = world;
  if (leader === undefined) return;
  const isCalm = world.clock.monotonicMs() > judge.disturbedUntilMs;
  await world.stop(leader);
  const lock = world.stream.last(LOCK);
  const isHeld = lock?.operation === 'PUT' && lock.headers['Rollcall-Holder'] === leader.name;
  if (isCalm && isHeld) throw new Error(`I16: ${leader.name} stopped and did not release the lock`);
  disturbed(judge, world, HAND_OVER_MS);
  const hasOther = world.replicas.length > 0;
  await pass(world, judge, HAND_OVER_MS);
  if (isCalm && hasOther && world.stream.last(LOCK)?.operation !== 'PUT')
    throw new Error(`I16: ${leader.name} stopped and nobody leads ${HAND_OVER_MS} ms later`);
  world.startReplica();
};

const HAND_OVER_MS = 2_000;

/** I1 holds through registry outages of up to 12 s. */
const OUTAGE_MS_MAX = 11_000;

const stall = async ({ world, judge, random }: Scene, how: 'stalled' | 'disconnected'): Promise<void> => {
  const { leader } = world;
  if (leader === undefined) return;
  await outage(world, judge, [leader], how, between(random, 100, OUTAGE_MS_MAX));
};

const stallAll = async ({ world, judge, random }: Scene): Promise<void> => {
  await outage(world, judge, [...world.replicas], 'stalled', between(random, 100, OUTAGE_MS_MAX));
};

const removeKey = (world: World, random: Random): void => {
  const keys = world.stream.messages('$KV.service-registry.>').filter(({ operation }) => operation === 'PUT');
  if (keys.length > 0) world.stream.wipe(pick(random, keys).subject);
};

const otherSpec = (random: Random): Spec => {
  const [ttlSeconds, refreshIntervalSeconds] = pick(random, [
    [30, 10],
    [30, 5],
    [60, 10],
    [6, 2],
    [3, 1],
    [600, 200],
  ] as const);
  return {
    ttlSeconds,
    refreshIntervalSeconds,
    whenNotReady: pick(random, ['MarkUnhealthy', 'MarkUnhealthy', 'Lapse', 'Remove'] as const),
    instanceId: random() < 0.8 ? 'Generated' : 'PodName',
    onConflict: random() < 0.8 ? 'Yield' : 'Adopt',
    keyLayout: random() < 0.5 ? 'Dotted' : pick(random, ['Underscore', 'DoubleUnderscore'] as const),
    suspend: random() < 0.1,
    notReadyGraceSeconds: random() < 0.5 ? 0 : 8,
    metadata: random() < 0.5 ? {} : { team: `team-${Math.floor(random() * 3)}` },
    ...(random() < 0.4 ? {} : { stickyActiveGroup: pick(random, ['blue', 'blue', 'green']) }),
  };
};

const remade = (world: World): void => {
  const { spec } = world;
  world.setSpec(undefined);
  world.setSpec(spec ?? PLAIN);
};

const takeKey = (world: World, random: Random): void => {
  const keys = world.stream.messages('$KV.service-registry.>').filter(({ operation }) => operation === 'PUT');
  if (keys.length > 0) world.stream.put(pick(random, keys).subject, 'somebody else', { ttlSeconds: 20 });
};

const purged = ({ world, judge }: Scene): void => {
  world.stream.wipe();
  disturbed(judge, world, 3_000);
};

const madeAnew = ({ world, judge }: Scene): void => {
  world.stream.remake();
  disturbed(judge, world, 3_000);
};

const longOutage = async ({ world, judge, random }: Scene): Promise<void> => {
  const how = pick(random, ['stalled', 'disconnected'] as const);
  await outage(world, judge, [...world.replicas], how, between(random, 20_000, 70_000));
};

const fullBucket = async ({ world, judge, random }: Scene): Promise<void> => {
  world.stream.full = true;
  await pass(world, judge, between(random, 1_000, 20_000), true);
  world.stream.full = false;
  disturbed(judge, world, 5_000);
};

/** The end of all faults, and of settings under which nothing could be judged. */
export const heal = (world: World): void => {
  if (world.spec === undefined || world.spec.suspend) world.setSpec(PLAIN);
  else if (world.spec.ttlSeconds > 60) world.setSpec({ ...world.spec, ttlSeconds: 30, refreshIntervalSeconds: 10 });

  letAllSpeak(world);
  for (const { api, registry } of world.replicas) {
    api.faults.pass();
    registry.setLink('up');
  }
};
