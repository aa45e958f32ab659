// What breaks one replica for good. From then on nothing heals it and no action touches it; the others have to keep every
// promise without it, whether it led or not.

import { DENIED } from './api-faults.ts';
import { type Action, disturbed, type Scene } from './scene.ts';
import { pick } from './seeded.ts';
import type { Replica } from './world.ts';

/** A lock that lapses, the hand-over that follows; or a view that ages until its owner yields. */
const WITHOUT_IT_MS = 20_000;
/** Sources of a view that say whether a pod is to have a key. */
const SOURCES = ['pods', 'serviceregistrations'] as const;

const forEver =
  (how: (replica: Replica, scene: Scene) => void): Action[1] =>
  (scene) => {
    const { world, judge, random } = scene;
    // A minority: one of two, and never the last.
    if (world.broken.length > 0 || world.replicas.length < 2) return;
    const replica = random() < 0.7 ? (world.leader ?? pick(random, world.replicas)) : pick(random, world.replicas);
    world.giveUp(replica);
    how(replica, scene);
    const nowMs = world.clock.monotonicMs();
    judge.blind.push({ fromMs: nowMs, untilMs: nowMs + WITHOUT_IT_MS, broken: true });
    disturbed(judge, world, WITHOUT_IT_MS);
  };

export const BROKEN_FOR_EVER: readonly Action[] = [
  ['for ever: a replica is cut from the API', forEver(({ api }) => api.faults.cut())],
  ['for ever: the API does not answer a replica', forEver(({ api }) => api.faults.hold())],
  ['for ever: a replica is cut from the registry', forEver(({ registry }) => registry.setLink('disconnected'))],
  ['for ever: the registry does not answer a replica', forEver(({ registry }) => registry.setLink('stalled'))],
  [
    'for ever: a replica is cut from both',
    forEver(({ api, registry }) => {
      api.faults.cut();
      registry.setLink('disconnected');
    }),
  ],
  ['for ever: a replica stands still', forEver((replica, { world }) => world.pause(replica))],
  [
    'for ever: one source of a replica is silent',
    forEver(({ api }, { random }) => api.faults.silenceWatches(pick(random, SOURCES))),
  ],
  [
    'for ever: a replica may not watch one source',
    forEver(({ api }, { random, world }) => {
      world.expectedErrors.push(DENIED);
      api.faults.deny(`watch ${pick(random, SOURCES)}`);
      api.faults.breakWatches();
    }),
  ],
];
