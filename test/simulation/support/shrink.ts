// Makes a plan that fails as short as it can be: takes steps out one by one, and the pods it begins with, for as long as
// it fails by the same promise. What is left can be read, and kept.

import { type Plan, play } from './play.ts';

export const shrink = async (plan: Plan): Promise<Plan> => {
  const promise = await brokenBy(plan);
  if (promise === undefined) return plan;
  let shortest = plan;
  const isEnough = async (shorter: Plan): Promise<boolean> => (await brokenBy(shorter)) === promise;
  for (let at = shortest.steps.length - 1; at >= 0; at -= 1) {
    const shorter = { ...shortest, steps: shortest.steps.toSpliced(at, 1) };
    if (await isEnough(shorter)) shortest = shorter;
  }
  while (shortest.pods > 0 && (await isEnough({ ...shortest, pods: shortest.pods - 1 })))
    shortest = { ...shortest, pods: shortest.pods - 1 };
  return shortest;
};

/** The first words of what a plan fails by, `I2` or the like; undefined: it holds. */
const brokenBy = async (plan: Plan): Promise<string | undefined> => {
  try {
    await play(plan);
    return undefined;
  } catch (error) {
    const [, words] =
      /seed \d+: (?:Error: )?([^\s:]+)/.exec(String(error instanceof Error ? error.message : error)) ?? [];
    return words ?? 'something';
  }
};
