import { expect, test } from 'vitest';
import { paceOf } from '../../../src/domain/pace.ts';

test.each([
  ['no budget', 30, 10, 1, 30, 10],
  ['room up to a third of the TTL', 60, 10, 1.5, 60, 15],
  ['just a third', 60, 10, 2, 60, 20],
  ['more than a third: the TTL grows', 60, 10, 2.1, 63, 21],
  ['no room at all', 30, 10, 1.01, 33, 11],
  ['the shortest', 3, 1, 3.4, 12, 4],
])('%s', (_, ttl, interval, stretch, paceTtl, paceInterval) => {
  expect(paceOf({ ttlMs: ttl * 1_000, intervalMs: interval * 1_000 }, stretch)).toEqual({
    ttlMs: paceTtl * 1_000,
    intervalMs: paceInterval * 1_000,
  });
});
