// What can go wrong with the registry's server and the way to it, beyond links that are down: bytes that arrive when their
// term is over, answers that get lost, a clock that jumps, a crash that forgets, rights that are taken away. And processes
// that stand still, for what they sent before arrives all the same. All of it heals.

import { LOCK } from './lead-judge.ts';
import { type Action, disturbed, pass, type Scene } from './scene.ts';
import { between, pick } from './seeded.ts';
import type { Replica } from './world.ts';

/** I1 holds through registry outages of up to 12 s. */
const TROUBLE_MS_MAX = 11_000;
/** Of a lock's lapse, and of the hand-over that follows. */
const HAND_OVER_MS = 9_000;

export const REGISTRY_FAULTS: readonly Action[] = [
  [
    "the leader's batches arrive late",
    (scene) => troubled(scene, ({ registry }) => registry.faults.delayBatches(9_000)),
  ],
  ["the leader's answers get lost", (scene) => troubled(scene, ({ registry }) => registry.faults.loseAnswers(0.4))],
  [
    "half of the leader's batches are refused",
    (scene) => troubled(scene, ({ registry }) => registry.faults.refuse(BUSY, 0.5)),
  ],
  ["the server's clock jumps", (scene) => clockJumps(scene)],
  ['the newest writes are lost', (scene) => forgets(scene, 'apart')],
  ['the newest writes are lost while the server was away', (scene) => crashes(scene, 'apart')],
  ['the leader stands still', (scene) => standsStill(scene, scene.world.leader)],
  ['a replica stands still', (scene) => standsStill(scene, pick(scene.random, scene.world.replicas))],
  ['a key may not be written', (scene) => denied(scene)],
];

/** As they were when they broke something that is mended since. */
export const RECORDED_FAULTS: readonly Action[] = [
  ['the server forgets what it was told last', (scene) => forgets(scene, 'alike')],
  ['the server forgets what it was told last, and was away', (scene) => crashes(scene, 'alike')],
];

const BUSY = { kind: 'retry', description: 'in-flight conflict (10164)' } as const;

const troubled = async ({ world, judge, random }: Scene, fault: (replica: Replica) => void): Promise<void> => {
  const { leader } = world;
  if (leader === undefined) return;
  const spell = { fromMs: world.clock.monotonicMs(), untilMs: Number.POSITIVE_INFINITY };
  judge.outages.push(spell);
  fault(leader);
  await pass(world, judge, between(random, 500, TROUBLE_MS_MAX), true);
  leader.registry.faults.pass();
  spell.untilMs = world.clock.monotonicMs();
  disturbed(judge, world, HAND_OVER_MS);
};

const clockJumps = ({ world, judge, random }: Scene): void => {
  const ms = between(random, -40_000, 40_000);
  world.stream.jumpClock(ms);
  // Forward, the lock may have lapsed as well as keys; set back, a lock that nobody renews any more stands for longer.
  disturbed(judge, world, 12_000 + (world.leader === undefined ? Math.max(0, -ms) : 0));
  judge.jumped(ms);
};

/**
 * `apart`: where nothing is left of the lock, as many messages of others come first. In a stream this short another
 * replica's lock would else come to stand at the very revision that the old leader expects before anybody can notice;
 * acknowledgements that are no more are not promised to be honoured.
 */
const forgets = ({ world, judge, random }: Scene, revisions: 'apart' | 'alike'): void => {
  const { stream } = world;
  const { lastRevision } = stream;
  stream.loseNewest(Math.floor(between(random, 1, 40)));
  if (revisions === 'apart' && stream.last(LOCK) === undefined) {
    while (stream.lastRevision < lastRevision) stream.put('$KV.service-registry.other', 'a value');
  }
  disturbed(judge, world, 3_000);
  judge.forgot();
};

const crashes = async (scene: Scene, revisions: 'apart' | 'alike'): Promise<void> => {
  const { world, judge, random } = scene;
  for (const { registry } of world.replicas) registry.setLink('disconnected');
  forgets(scene, revisions);
  const spell = { fromMs: world.clock.monotonicMs(), untilMs: Number.POSITIVE_INFINITY };
  judge.outages.push(spell);
  await pass(world, judge, between(random, 200, 5_000), true);
  for (const { registry } of world.replicas) registry.setLink('up');
  spell.untilMs = world.clock.monotonicMs();
  disturbed(judge, world, HAND_OVER_MS);
};

const standsStill = async ({ world, judge, random }: Scene, replica: Replica | undefined): Promise<void> => {
  // Where no other one is left nobody is to keep a promise.
  if (replica === undefined || world.replicas.length < 2) return;
  world.pause(replica);
  disturbed(judge, world, HAND_OVER_MS);
  await pass(world, judge, between(random, 500, 40_000));
  world.resume(replica);
  // It may have been told to lead by a lock that lapsed while it stood.
  disturbed(judge, world, HAND_OVER_MS);
};

/** By subject, as where a right is taken away. Other keys go on. */
const denied = async ({ world, judge, random }: Scene): Promise<void> => {
  const keys = world.stream.messages('$KV.service-registry.>').filter(({ operation }) => operation === 'PUT');
  if (keys.length === 0) return;
  const { subject } = pick(random, keys);
  world.stream.denied = new RegExp(`^${subject.replace(/[$.]/g, '\\$&')}$`);
  const spell = { fromMs: world.clock.monotonicMs(), untilMs: Number.POSITIVE_INFINITY };
  judge.outages.push(spell);
  await pass(world, judge, between(random, 500, 30_000), true);
  world.stream.denied = undefined;
  spell.untilMs = world.clock.monotonicMs();
  // Asked for each 3 s.
  disturbed(judge, world, 5_000);
};
