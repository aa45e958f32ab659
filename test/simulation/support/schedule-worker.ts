// A thread that plays seeds: `workerData` gives the first one, the step from one to the next, and where to stop. Posts a
// sum of what it played and the failures it met. Whoever started it prints them.

import { parentPort, workerData } from 'node:worker_threads';
import { runSchedule } from './play.ts';
import type { Share } from './threads.ts';

export type Played = {
  readonly schedules: number;
  readonly steps: number;
  readonly fakeSeconds: number;
  readonly messages: number;
  readonly failures: readonly string[];
};

/** What more there may be is of the same kind. */
const FAILURES_MAX = 20;

const playShare = async ({ first, step, end }: Share): Promise<Played> => {
  let [schedules, steps, fakeSeconds, messages] = [0, 0, 0, 0];
  const failures: string[] = [];
  for (let seed = first; seed < end && failures.length < FAILURES_MAX; seed += step) {
    schedules += 1;
    try {
      const outcome = await runSchedule(seed);
      steps += outcome.steps;
      fakeSeconds += outcome.fakeSeconds;
      messages += outcome.messages;
    } catch (error) {
      failures.push(String(error instanceof Error ? error.message : error));
    }
  }
  return { schedules, steps, fakeSeconds, messages, failures };
};

// Refusals by the fakes are errors by the thousand, whose stacks nobody reads: an eighth of the time. A seed that is
// played alone has them.
Error.stackTraceLimit = 0;
parentPort?.postMessage(await playShare(workerData as Share));
