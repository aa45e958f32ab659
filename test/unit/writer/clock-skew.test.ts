import { expect, test } from 'vitest';
import { ClockSkew } from '../../../src/writer/clock-skew.ts';

test.each<readonly [string, readonly number[], readonly number[]]>([
  ['none worth telling', [0, 1_900, -2_000, 400], [0, 0, 0, 0]],
  ['ahead and behind', [2_600, -2_600], [3, -3]],
  ['told steadily while it wavers', [2_500, 2_400, 3_900, 2_100], [3, 3, 3, 3]],
  ['told anew when it jumps, and no more when it is over', [25_400, 26_500, 3_000, 0], [25, 27, 3, 0]],
])('%s', (_, offsets, told) => {
  const skew = new ClockSkew();
  expect(
    offsets.map((offsetMs) => {
      const before = skew.seconds;
      expect(skew.measured(offsetMs)).toBe(skew.seconds !== before);
      return skew.seconds;
    }),
  ).toEqual(told);
});
