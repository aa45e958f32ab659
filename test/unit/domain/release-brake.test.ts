// Which holds a resource's annotation ends, and which values of it are no good.

import { expect, test } from 'vitest';
import { releaseProblem, releases } from '../../../src/domain/release-brake.ts';
import { NINE } from '../../support/builders.ts';

test.each<[string, string | undefined, boolean]>([
  ['no annotation', undefined, false],
  ['a later time', '2026-11-23T09:00:01Z', true],
  ['a later time, by a fraction', '2026-11-23t09:00:00.001z', true],
  ['a later time elsewhere', '2026-11-23T08:30:01-00:30', true],
  ['the same time', '2026-11-23T09:00:00Z', false],
  ['an earlier time', '2026-11-23T08:59:59Z', false],
  ['an earlier time elsewhere', '2026-11-23T16:59:59+08:00', false],
  ['no time', 'now', false],
])('what is held since nine, and %s', (_, releaseBrake, expected) => {
  expect(releases(releaseBrake === undefined ? {} : { releaseBrake }, NINE)).toBe(expected);
});

test.each([
  '2026-11-23T09:00:00Z',
  '2026-11-23T09:00:00.123456789+08:00',
  '2028-02-29T00:00:00Z',
])('%s is a time', (releaseBrake) => {
  expect(releaseProblem({ releaseBrake })).toEqual([]);
});

test.each([
  '',
  'true',
  'now',
  '1795424400',
  '2026-11-23',
  '2026-11-23T09:00Z',
  '2026-11-23T09:00:00',
  '2026-11-23 09:00:00Z',
  '2026-02-30T09:00:00Z',
  '2026-13-01T09:00:00Z',
  '2026-11-23T25:00:00Z',
  '2026-11-23T09:00:00+99:00',
  'Mon, 23 Nov 2026 09:00:00 GMT',
])('"%s" is none, which is said and lets nothing go', (releaseBrake) => {
  expect(releaseProblem({ releaseBrake })).toMatchObject([{ annotation: 'release-brake', value: releaseBrake }]);
  expect(releases({ releaseBrake }, Number.NEGATIVE_INFINITY)).toBe(false);
});
