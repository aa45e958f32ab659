// How fast the next reading is, by how the ones before ended.

import { expect, test } from 'vitest';
import { BITS_PER_SECOND_MAX, ReadRate } from '../../../src/nats/read-rate.ts';

const BYTES = 20_000_000;
const MANY = 10_000;

const next = (rate: ReadRate) => ({
  takeOver: rate.begin(BYTES, false).bitsPerSecond,
  audit: rate.begin(BYTES, true).bitsPerSecond,
});

test('an audit that is broken off slows the next one down, and no take-over', () => {
  const rate = new ReadRate();
  const before = next(rate);
  expect(before).toEqual({ takeOver: BITS_PER_SECOND_MAX, audit: 40_000_000 });
  rate.brokenOff(rate.begin(BYTES, true), MANY);
  expect(next(rate)).toEqual({ takeOver: BITS_PER_SECOND_MAX, audit: 10_000_000 });
  for (let audits = 0; audits < 15; audits += 1) rate.ended(rate.begin(BYTES, true), MANY);
  expect(next(rate)).toEqual(before);
});

test('a take-over that is broken off slows both down, until one is whole again', () => {
  const rate = new ReadRate();
  for (let times = 0; times < 2; times += 1) rate.brokenOff(rate.begin(BYTES, false), MANY);
  expect(next(rate)).toEqual({ takeOver: 12_500_000, audit: 12_500_000 });
  rate.ended(rate.begin(BYTES, false), MANY);
  expect(next(rate)).toEqual({ takeOver: 25_000_000, audit: 25_000_000 });
});

test('a reading that brought nothing, or too little to tell, says nothing of the line', () => {
  const rate = new ReadRate();
  rate.brokenOff(rate.begin(BYTES, false), 0);
  expect(next(rate).takeOver).toBe(BITS_PER_SECOND_MAX);
  rate.brokenOff(rate.begin(BYTES, false), MANY);
  rate.ended(rate.begin(BYTES, false), 10);
  expect(next(rate).takeOver).toBe(BITS_PER_SECOND_MAX / 4);
});
