import { expect, test } from 'vitest';
import { brakeHolds } from '../../../src/domain/brake.ts';
import { nodeBrakeHolds } from '../../../src/domain/node-loss.ts';

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

test.each([
  [0, 0, false],
  [0, 5_000, false],
  [1, 1, true],
  [1, 2, false],
  [2, 2, true],
  [2, 3, false],
  [3, 3, true],
  [3, 5, true],
  [3, 6, false],
  [54, 100, false],
  [55, 100, true],
  [2_749, 5_000, false],
  [2_750, 5_000, true],
])('%i of %i nodes look lost: held %j', (lost, all, held) => {
  expect(nodeBrakeHolds(lost, all)).toBe(held);
});
