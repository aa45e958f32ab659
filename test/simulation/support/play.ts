// One random life of a world. A seed makes a plan: how the world begins, and which actions come when, each with a seed
// of its own. Playing a plan judges the world all the way; a failure names the seed and the last steps. A plan is plain
// data: one that failed can be shortened (`shrink.ts`) and kept (`regressions.ts`), whatever becomes of the seeds.

import { API_FAULTS } from './api-faults.ts';
import { BROKEN_FOR_EVER } from './broken-forever.ts';
import { Judge } from './judge.ts';
import { NODE_FAULTS } from './node-faults.ts';
import { RECORDED_FAULTS, REGISTRY_FAULTS } from './registry-faults.ts';
import { type Action, disturbed, pass } from './scene.ts';
import { ACTIONS, heal } from './schedule.ts';
import { between, pick, seeded } from './seeded.ts';
import { PLAIN, World } from './world.ts';

/** Name of the action, its seed, and how long the world is left alone after it. */
export type Step = readonly [name: string, seed: number, pauseMs: number];
export type Plan = {
  readonly seed: number;
  readonly pods: number;
  readonly graceSeconds: number;
  readonly steps: readonly Step[];
};

export type Outcome = { readonly steps: number; readonly fakeSeconds: number; readonly messages: number };

const STEPS_MIN = 3;
const STEPS_MAX = 14;
const PAUSE_MS_MAX = 3_000;
/** I9 */
const CONVERGES_MS = 15_000;
/** Longer than an interval. */
const QUIET_MS = 12_000;
/** A key that somebody took may stand for 20 s, and what is suspended or on its way out for a TTL. */
const LAPSES_MS = 65_000;

/** Faults that heal, and what people and pods do. */
const HEALING: readonly Action[] = [...ACTIONS, ...REGISTRY_FAULTS, ...API_FAULTS, ...NODE_FAULTS];
const ALL: readonly Action[] = [...HEALING, ...BROKEN_FOR_EVER, ...RECORDED_FAULTS];

/** One world in so many has more pods than may go by absence. */
const WIDE_EVERY = 16;
const WIDE_PODS = 26;
/** In one of so many a replica breaks for good on the way. */
const BROKEN_EVERY = 3;

export const planOf = (seed: number): Plan => {
  const random = seeded(seed);
  const count = Math.floor(between(random, STEPS_MIN, STEPS_MAX + 1));
  const breaksAt = seed % BROKEN_EVERY === 0 ? Math.floor(random() * count) : undefined;
  const isWide = seed % WIDE_EVERY === 0;
  return {
    seed,
    pods: isWide ? WIDE_PODS : Math.floor(between(random, 1, 7)),
    graceSeconds: seed % 2 === 0 ? 8 : 0,
    steps: Array.from({ length: isWide ? Math.ceil(count / 2) : count }, (_, index) => [
      // The fault that needs a wide world is not left to chance there.
      isWide && index === 0 ? 'lists are empty' : pick(random, index === breaksAt ? BROKEN_FOR_EVER : HEALING)[0],
      Math.floor(random() * 0x1_0000_0000),
      Math.round(between(random, 10, PAUSE_MS_MAX)),
    ]),
  };
};

export const runSchedule = (seed: number): Promise<Outcome> => play(planOf(seed));

export const play = async (plan: Plan): Promise<Outcome> => {
  const random = seeded(plan.seed);
  const world = new World(random);
  const judge = new Judge(world);
  world.addNodes();
  const told: string[] = [];
  const startedMs = world.clock.monotonicMs();
  try {
    if (plan.graceSeconds > 0) world.setSpec({ ...PLAIN, notReadyGraceSeconds: plan.graceSeconds });
    world.startReplica();
    world.startReplica(between(random, -60_000, 60_000));
    for (let i = 0; i < plan.pods; i += 1) world.addPod(`pod-${i}`, true);
    disturbed(judge, world, 2_000);
    await pass(world, judge, between(random, 0, 6_000));
    for (const [step, [name, seed, pauseMs]] of plan.steps.entries()) {
      told.push(`${Math.round(world.clock.monotonicMs() - startedMs)} ms: ${name}`);
      await actionOf(name)({ world, judge, random: seeded(seed), step });
      await pass(world, judge, pauseMs);
    }
    told.push('healed');
    heal(world);
    // What broke for good is not replaced: the one that is left has to do.
    while (world.replicas.length + world.broken.length < 2) world.startReplica();
    disturbed(judge, world, 0);
    await converge(world, judge);
    await world.end();
    if (world.clock.pendingTimers() > 0) throw new Error(`${world.clock.pendingTimers()} timers are left`);
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(`seed ${plan.seed}: ${why}\nlast steps:\n  ${told.slice(-12).join('\n  ')}`);
  }
  return {
    steps: plan.steps.length,
    fakeSeconds: (world.clock.monotonicMs() - startedMs) / 1_000,
    messages: world.stream.history().length,
  };
};

const converge = async (world: World, judge: Judge): Promise<void> => {
  await pass(world, judge, CONVERGES_MS);
  const dueMs = world.clock.monotonicMs() + LAPSES_MS - CONVERGES_MS;
  while (world.clock.monotonicMs() < dueMs && judge.mayStillConverge) await pass(world, judge, 5_000);
  judge.checkConverged();
  judge.expectQuiet();
  await pass(world, judge, QUIET_MS);
  judge.checkQuiet();
};

const actionOf = (name: string): Action[1] => {
  const [, act] = ALL.find(([known]) => known === name) ?? [];
  if (act === undefined) throw new Error(`no action is called "${name}"`);
  return act;
};
