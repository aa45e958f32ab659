// What an action of a schedule is given, and how time passes within it: judged all the way. Knows no action.

import type { Random } from '../../../src/clock.ts';
import type { Judge } from './judge.ts';
import type { Replica, World } from './world.ts';

/** `random`: the step's own, so that a recorded step does the same among others. */
export type Scene = { readonly world: World; readonly judge: Judge; readonly random: Random; readonly step: number };
export type Action = readonly [string, (scene: Scene) => Promise<void> | void];

/** Judging this often on the way notices what would heal by itself. */
const LOOK_EVERY_MS = 500;

/** A view is blind after 15 s without proof, and not for longer once the API server can be heard. */
export const RECOVERY_MS = 15_000;

export const disturbed = (judge: Judge, world: World, forMs: number): void => {
  judge.disturbedUntilMs = Math.max(judge.disturbedUntilMs, world.clock.monotonicMs() + forMs);
};

export const pass = async (world: World, judge: Judge, ms: number, disturbing = false): Promise<void> => {
  const endMs = world.clock.monotonicMs() + ms;
  while (world.clock.monotonicMs() < endMs) {
    await world.clock.advance(Math.min(LOOK_EVERY_MS, endMs - world.clock.monotonicMs()));
    if (disturbing) disturbed(judge, world, 0);
    judge.check();
  }
};

/** Everything is as it should be so long after the registry is back. */
const BACK_MS = 5_000;

/** The registry is out of reach for these replicas. */
export const outage = async (
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
  disturbed(judge, world, BACK_MS);
};
