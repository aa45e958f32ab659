// F06: a replica that crashes at any await of its life leaves nothing behind that another one does not put right: for each
// of them the end is the same as without a crash, but for heartbeats, terms and dates. Of awaits between which neither time
// passed nor anything was sent only the first is tried: to the world outside they are one.

import { expect, test } from 'vitest';
import { playCrash } from './support/crash-story.ts';
import { onThreads } from './support/threads.ts';

const WORKER = new URL('./support/crash-worker.ts', import.meta.url);

test('a crash at any await leaves nothing that is not put right', { timeout: 120_000 }, async () => {
  const { end, awaits, distinct } = await playCrash(Number.POSITIVE_INFINITY);
  // A story without awaits, or without keys at its end, would prove nothing.
  expect(awaits).toBeGreaterThan(400);
  expect(end.keys).toHaveLength(8);
  const more = { awaits: distinct, expected: JSON.stringify(end) };
  const differing = await onThreads<readonly string[]>(WORKER, 0, distinct.length, more);
  process.stdout.write(`crash points: ${awaits} awaits, ${distinct.length} of them tried\n`);
  expect(differing.flat()).toEqual([]);
});
