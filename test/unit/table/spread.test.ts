import { expect, test } from 'vitest';
import { fractionOf } from '../../../src/table/spread.ts';

test.each([
  'service-instances.web.web-',
  'default/trading-',
])('names that only count up, as of a StatefulSet, do not march in step: %s', (stem) => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 100; i += 1) {
    const tenth = Math.floor(fractionOf(`${stem}${i}`) * 10);
    tenths[tenth] = (tenths[tenth] ?? 0) + 1;
  }
  expect(Math.max(...tenths)).toBeLessThanOrEqual(25);
  expect(Math.min(...tenths)).toBeGreaterThanOrEqual(1);
});
