// Seeded lives of a whole installation on fakes. `SEED=n` replays one; `SCHEDULES=n` runs that many.

import { expect, test } from 'vitest';
import { runSchedule } from './support/schedule.ts';

const seedText = process.env['SEED'];
const first = seedText === undefined ? 1 : Number(seedText);
const count = seedText === undefined ? Number(process.env['SCHEDULES'] ?? 100) : 1;

test(`${count} schedules from seed ${first}`, { timeout: 600_000 }, async () => {
  let messages = 0;
  let fakeSeconds = 0;
  const startedMs = performance.now();
  for (let seed = first; seed < first + count; seed += 1) {
    const outcome = await runSchedule(seed);
    messages += outcome.messages;
    fakeSeconds += outcome.fakeSeconds;
  }
  const seconds = (performance.now() - startedMs) / 1_000;
  process.stdout.write(
    `simulation: seeds ${first}..${first + count - 1}, ${Math.round(fakeSeconds)} simulated seconds, ${messages} messages, ${seconds.toFixed(1)} s\n`,
  );
  // A schedule in which nothing is written would prove nothing.
  expect(messages).toBeGreaterThan(count * 50);
});
