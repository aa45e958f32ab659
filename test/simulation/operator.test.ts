// Seeded lives of a whole installation on fakes, on as many threads as there are cores. `SEED=n` plays one again, with
// stacks; `SHRINK=1` beside it finds the fewest steps that fail the same. `SCHEDULES=n` plays that many, from `FIRST=n` on.

import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { planOf, runSchedule } from './support/play.ts';
import type { Played } from './support/schedule-worker.ts';
import { shrink } from './support/shrink.ts';
import { onThreads } from './support/threads.ts';

const SEED = process.env['SEED'];
const COUNT = Number(process.env['SCHEDULES'] ?? 2_000);
const FIRST = Number(process.env['FIRST'] ?? 1);

const WORKER = new URL('./support/schedule-worker.ts', import.meta.url);

/** A seed means the same only with the same code. */
const commit = (): string => {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim();
  } catch {
    return 'an unknown commit';
  }
};

test.skipIf(SEED === undefined)('the seed asked for', { timeout: 600_000 }, async () => {
  const plan = planOf(Number(SEED));
  if (process.env['SHRINK'] !== undefined) process.stdout.write(`${JSON.stringify(await shrink(plan))}\n`);
  const { steps, fakeSeconds, messages } = await runSchedule(plan.seed);
  process.stdout.write(`${steps} steps, ${Math.round(fakeSeconds)} simulated seconds, ${messages} messages\n`);
});

test.skipIf(SEED !== undefined)(`${COUNT} schedules from seed ${FIRST}`, { timeout: 3_600_000 }, async () => {
  const startedMs = performance.now();
  const played = await onThreads<Played>(WORKER, FIRST, FIRST + COUNT);
  const sum = (of: (share: Played) => number) => Math.round(played.reduce((total, share) => total + of(share), 0));
  const seconds = (performance.now() - startedMs) / 1_000;
  process.stdout.write(
    `simulation: seeds ${FIRST}..${FIRST + COUNT - 1}, ${sum(({ steps }) => steps)} steps, ${sum(({ fakeSeconds }) => fakeSeconds)} simulated seconds, ${sum(({ messages }) => messages)} messages, ${seconds.toFixed(1)} s\n`,
  );
  const failures = played.flatMap((share) => share.failures);
  expect(failures, `${failures.length} seeds failed at ${commit()}; SEED=n make simulation plays one again`).toEqual(
    [],
  );
  expect(sum(({ schedules }) => schedules)).toBe(COUNT);
  // A schedule in which nothing is written would prove nothing.
  expect(sum(({ messages }) => messages)).toBeGreaterThan(COUNT * 50);
});
