// A key that is refreshed when its TTL runs out: the server accepts that, and puts the marker of the lapse over it.

import { expect, test } from 'vitest';
import { objectKey } from '../../../src/domain/pod.ts';
import { aWish, uidOf } from '../../support/wishes.ts';
import { BUCKET, WriterBench } from '../../support/writer-bench.ts';

/** The fake's server decides 170 ms after a TTL ran out, with this chance, and stores the marker 50 ms later. */
const HALF = 0.5;

test.each([
  ['before it is decided that the key lapses', 'stays', 30_100, false, 0],
  ['between the decision and the marker', 'is gone, and back within 2 s', 30_180, true, 1],
  ['after the marker', 'is written anew', 30_300, false, 1],
])('refreshed %s, the key %s', async (_, __, atMs, isWiped, markers) => {
  const bench = new WriterBench(() => HALF);
  const { registry, table, writer, stop, ended } = bench.replica('a');
  await bench.clock.until(() => writer.leading, 10_000);
  table.setWishes(objectKey('trading', 'a'), uidOf('a'), [aWish({ podName: 'a' })]);
  await bench.clock.until(() => Object.keys(bench.values()).length === 1, 1_000);
  const [key = ''] = Object.keys(bench.values());
  const writtenAtMs = bench.clock.monotonicMs();
  registry.setLink('disconnected');
  await bench.clock.advance(atMs);
  registry.setLink('up');
  await bench.clock.advance(60);
  if (isWiped) expect(bench.values()).toEqual({});
  await bench.clock.advance(2_000);
  expect(Object.keys(bench.values())).toEqual([key]);
  await bench.clock.advance(5_000);
  expect(Object.keys(bench.values())).toEqual([key]);
  const found = bench.stream
    .history()
    .filter(
      (entry) => entry.kind === 'stored' && entry.message.subject === `$KV.${BUCKET}.${key}` && entry.by === 'server',
    );
  expect(found).toHaveLength(markers);
  expect(bench.clock.monotonicMs() - writtenAtMs).toBeGreaterThan(30_000);
  stop.abort();
  await bench.clock.advance(100);
  await ended;
});
