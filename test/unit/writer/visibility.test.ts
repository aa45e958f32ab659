import { expect, test } from 'vitest';
import { Visibility } from '../../../src/writer/visibility.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeRegistry } from '../../support/fake-registry.ts';
import { FakeStream } from '../../support/fake-stream.ts';

const setUp = () => {
  const clock = new FakeClock();
  const stream = new FakeStream(clock, () => 0.5, 'b');
  const seenMs: number[] = [];
  const visibility = new Visibility(new FakeRegistry(stream, 'a'), clock, (tookMs) => void seenMs.push(tookMs));
  const stop = new AbortController();
  const ended = visibility.run(stop.signal);
  return { clock, stream, visibility, seenMs, stop, ended };
};

test('a key counts from when its pod was known to be Ready until it is delivered', async () => {
  const { clock, stream, visibility, seenMs } = setUp();
  await clock.advance(1_000);
  const sinceMs = clock.monotonicMs();
  await clock.advance(40);
  stream.put('$KV.b.one', '{}');
  visibility.offer('$KV.b.one', sinceMs);
  await clock.advance(1_000);
  expect(seenMs).toHaveLength(1);
  expect(seenMs[0]).toBeGreaterThanOrEqual(40);
  expect(seenMs[0]).toBeLessThan(100);
});

test('one in five seconds, whatever is offered', async () => {
  const { clock, stream, visibility, seenMs } = setUp();
  stream.put('$KV.b.one', '{}');
  for (let i = 0; i < 300; i += 1) {
    visibility.offer('$KV.b.one', clock.monotonicMs());
    await clock.advance(100);
  }
  expect(seenMs.length).toBeGreaterThanOrEqual(5);
  expect(seenMs.length).toBeLessThanOrEqual(6);
});

test('what is not seen is given up, and the next one counts', async () => {
  const { clock, stream, visibility, seenMs } = setUp();
  await clock.advance(10);
  visibility.offer('$KV.b.never', clock.monotonicMs());
  await clock.advance(30_000);
  expect(seenMs).toEqual([]);
  stream.put('$KV.b.one', '{}');
  visibility.offer('$KV.b.one', clock.monotonicMs());
  await clock.advance(1_000);
  expect(seenMs).toHaveLength(1);
});

test('ends with its signal, in the middle of a sample too', async () => {
  const { clock, visibility, stop, ended } = setUp();
  await clock.advance(10);
  visibility.offer('$KV.b.never', clock.monotonicMs());
  await clock.advance(100);
  stop.abort();
  await clock.advance(10);
  await expect(ended).resolves.toBeUndefined();
});
