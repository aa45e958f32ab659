// Printed times and offsets.

import { describe, expect, test } from 'vitest';
import { formatSeconds, formatTimestamp, parseOffset, UTC } from '../../../src/domain/timestamp.ts';
import { NINE } from '../../support/builders.ts';

describe('offsets', () => {
  test.each([
    ['Z', 0],
    ['+08:00', 480],
    ['-03:30', -210],
    ['+00:00', 0],
    ['+05:45', 345],
    ['+14:00', 840],
    ['-12:00', -720],
  ])('%s', (text, minutes) => {
    expect(parseOffset(text)).toEqual({ text, minutes });
  });

  test.each([
    '',
    'z',
    '+8',
    '+8:00',
    '+0800',
    '08:00',
    '+08:60',
    '+14:30',
    '+15:00',
    '+08:00 ',
    'UTC',
    '+٠8:00',
  ])('%j is none', (text) => {
    expect(parseOffset(text)).toBeUndefined();
  });
});

test.each<[number, string, string]>([
  [NINE, '+08:00', '2026-11-23T17:00:00.000+08:00'],
  [NINE + 10_123, '+08:00', '2026-11-23T17:00:10.123+08:00'],
  [NINE, 'Z', '2026-11-23T09:00:00.000Z'],
  [NINE, '-10:00', '2026-11-22T23:00:00.000-10:00'],
  [NINE + 5, 'Z', '2026-11-23T09:00:00.005Z'],
  [NINE + 50.9, 'Z', '2026-11-23T09:00:00.050Z'],
  [0, 'Z', '1970-01-01T00:00:00.000Z'],
  [-1, 'Z', '1969-12-31T23:59:59.999Z'],
  [Date.UTC(2028, 1, 29, 23, 59, 59, 999), 'Z', '2028-02-29T23:59:59.999Z'],
  [Date.UTC(2028, 1, 29, 23, 59, 59, 999), '+00:30', '2028-03-01T00:29:59.999+00:30'],
  [Date.UTC(2026, 11, 31, 20), '+08:00', '2027-01-01T04:00:00.000+08:00'],
  [Number.NaN, 'Z', '1970-01-01T00:00:00.000Z'],
])('%d at %s', (wallMs, offset, expected) => {
  expect(formatTimestamp(wallMs, parseOffset(offset) ?? UTC)).toBe(expected);
});

test('seconds for Kubernetes', () => {
  expect(formatSeconds(NINE + 999)).toBe('2026-11-23T09:00:00Z');
});

test('a broken clock prints four digits of a year all the same', () => {
  for (const wallMs of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e18, -1e18]) {
    expect(formatTimestamp(wallMs, UTC)).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  }
});
