// One random life of a world: a seed decides what happens when. Faults heal; after the last one the world is given 20 s
// to converge. Everything is judged after every step, and a failure names the seed and the last steps.

import type { Random } from '../../../src/clock.ts';
import { Judge, LOCK } from './judge.ts';
import { between, pick, seeded } from './seeded.ts';
import { PLAIN, type Replica, type Spec, World } from './world.ts';

const STEPS = 40;
const STEP_MS_MAX = 3_000;
/** Judging this often on the way notices what would heal by itself. */
const LOOK_EVERY_MS = 500;

export type Outcome = { readonly steps: number; readonly fakeSeconds: number; readonly messages: number };

export const runSchedule = async (seed: number): Promise<Outcome> => {
  const random = seeded(seed);
  const world = new World(random);
  const judge = new Judge(world);
  const told: string[] = [];
  const startedMs = world.clock.monotonicMs();
  try {
    if (seed % 2 === 0) world.setSpec({ ...PLAIN, notReadyGraceSeconds: 8 });
    world.startReplica();
    world.startReplica(between(random, -60_000, 60_000));
    for (let i = 0; i < 4; i += 1) world.addPod(`pod-${i}`, true);
    disturbed(judge, world, 2_000);
    for (let step = 0; step < STEPS; step += 1) {
      const [name, act] = pick(random, ACTIONS);
      told.push(`${Math.round(world.clock.monotonicMs() - startedMs)} ms: ${name}`);
      await act({ world, judge, random, step });
      await pass(world, judge, between(random, 10, STEP_MS_MAX));
    }
    told.push('healed');
    heal(world);
    while (world.replicas.length < 2) world.startReplica();
    disturbed(judge, world, 0);
    // A key that somebody took may stand for 20 s, and what is suspended or on its way out for a TTL.
    await pass(world, judge, 65_000);
    judge.checkConverged();
    await world.end();
    if (world.clock.pendingTimers() > 0) throw new Error(`${world.clock.pendingTimers()} timers are left`);
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${seed}: ${why}\nlast steps:\n  ${told.slice(-12).join('\n  ')}`);
  }
  return {
    steps: told.length,
    fakeSeconds: (world.clock.monotonicMs() - startedMs) / 1_000,
    messages: world.stream.history().length,
  };
};

type Scene = { readonly world: World; readonly judge: Judge; readonly random: Random; readonly step: number };
type Action = readonly [string, (scene: Scene) => Promise<void> | void];

const ACTIONS: readonly Action[] = [
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

/** Watches back off up to 5 s after long trouble, and a proof of freshness takes a while. */
const RECOVERY_MS = 35_000;

const crash = async (scene: Scene): Promise<void> => {
  const { world, judge, random } = scene;
  const { leader } = world;
  if (leader === undefined) return;
  await world.kill(leader);
  disturbed(judge, world, 9_000);
  await pass(world, judge, between(random, 0, 3_000));
  world.startReplica(between(random, -60_000, 60_000));
};

const planned = async ({ world, judge }: Scene): Promise<void> => {
  const { leader } = world;
  if (leader === undefined) return;
  await world.stop(leader);
  const lock = world.stream.last(LOCK);
  if (
    world.clock.monotonicMs() > judge.disturbedUntilMs &&
    lock?.operation === 'PUT' &&
    lock.headers['Rollcall-Holder'] === leader.name
  )
    throw new Error(`I16: ${leader.name} stopped and did not release the lock`);
  disturbed(judge, world, 2_000);
  world.startReplica();
};

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

const outage = async (
  world: World,
  judge: Judge,
  replicas: readonly Replica[],
  how: 'stalled' | 'disconnected',
  ms: number,
): Promise<void> => {
  const spell = { fromMs: world.clock.monotonicMs(), untilMs: Number.POSITIVE_INFINITY };
  judge.outages.push(spell);
  for (const { registry } of replicas) registry.setLink(how);
  disturbed(judge, world, 0);
  await pass(world, judge, ms, true);
  for (const { registry } of replicas) registry.setLink('up');
  spell.untilMs = world.clock.monotonicMs();
  disturbed(judge, world, 9_000);
};

const fullBucket = async ({ world, judge, random }: Scene): Promise<void> => {
  world.stream.full = true;
  await pass(world, judge, between(random, 1_000, 20_000), true);
  world.stream.full = false;
  disturbed(judge, world, 5_000);
};

const heal = (world: World): void => {
  if (world.spec === undefined || world.spec.suspend) world.setSpec(PLAIN);
  else if (world.spec.ttlSeconds > 60) world.setSpec({ ...world.spec, ttlSeconds: 30, refreshIntervalSeconds: 10 });

  for (const { api, registry } of world.replicas) {
    api.faults.pass();
    registry.setLink('up');
  }
};

const disturbed = (judge: Judge, world: World, forMs: number): void => {
  judge.disturbedUntilMs = Math.max(judge.disturbedUntilMs, world.clock.monotonicMs() + forMs);
};

const pass = async (world: World, judge: Judge, ms: number, disturbing = false): Promise<void> => {
  const endMs = world.clock.monotonicMs() + ms;
  while (world.clock.monotonicMs() < endMs) {
    await world.clock.advance(Math.min(LOOK_EVERY_MS, endMs - world.clock.monotonicMs()));
    if (disturbing) disturbed(judge, world, 0);
    judge.check();
  }
};
