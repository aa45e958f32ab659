// A process that wears out would be noticed in an hour, and one that breathes would not be accused.

import { expect, test } from 'vitest';
import { holds } from '../../faults/fault-case.ts';
import { type Look, wearOf } from '../../faults/wear.ts';

const HOUR_MS = 3_600_000;
const EVERY_MS = 10_000;

/** An hour of looks; `hour` runs from 0 to 1. */
const looks = (of: (hour: number, index: number) => Partial<Look>): readonly Look[] =>
  Array.from({ length: HOUR_MS / EVERY_MS }, (_, index) => ({
    atMs: index * EVERY_MS,
    memoryMiB: 180,
    files: 30,
    handles: 12,
    timers: 9,
    ...of((index * EVERY_MS) / HOUR_MS, index),
  }));

const failing = (some: readonly Look[]) =>
  wearOf(some)
    .filter((figure) => !holds(figure))
    .map(({ name }) => name.split(':')[0]);

test.each<[string, (hour: number, index: number) => Partial<Look>, readonly string[]]>([
  ['flat', () => ({}), []],
  ['a collector at work', (_, index) => ({ memoryMiB: 160 + (index % 7) * 8 }), []],
  ['warming up', (hour) => ({ memoryMiB: hour < 0.2 ? 100 : 190 }), []],
  ['60 MiB an hour', (hour) => ({ memoryMiB: 150 + 60 * hour }), ['memory']],
  ['a file each five minutes', (hour) => ({ files: 30 + Math.trunc(12 * hour) }), ['open files']],
  ['a handle each five minutes', (hour) => ({ handles: 12 + Math.trunc(12 * hour) }), ['handles']],
  ['a timer each two minutes', (hour) => ({ timers: 9 + Math.trunc(30 * hour) }), ['timers']],
])('%s', (_, of, expected) => {
  expect(failing(looks(of))).toEqual(expected);
});

test('the slope is per hour', () => {
  const [memory] = wearOf(looks((hour) => ({ memoryMiB: 100 + 60 * hour })));
  expect(memory?.value).toBeCloseTo(60, 5);
});
