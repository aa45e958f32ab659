import { expect, test } from 'vitest';
import { brakeHolds } from '../../../src/domain/brake.ts';

test.each([
  [0, 0, false],
  [20, 20, false],
  [21, 21, true],
  [21, 105, false],
  [22, 105, true],
  [1_000, 5_000, false],
  [1_001, 5_000, true],
])('%i of %i missing: held %j', (absent, all, held) => {
  expect(brakeHolds(absent, all)).toBe(held);
});
