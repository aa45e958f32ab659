import { describe, expect, test } from 'vitest';
import type { WhenNotReady } from '../../../src/domain/settings.ts';
import { nextStep, type Observed, reportOf, type Step } from '../../../src/table/row.ts';
import { aRow, aWish, away, ours } from '../../support/wishes.ts';

const NOW = 100_000;
const UNKNOWN: Observed = { kind: 'unknown' };
const NONE: Observed = { kind: 'none', revision: 3 };
const FOREIGN: Observed = { kind: 'foreign', revision: 9, owner: 'somebody' };

const live = aWish();
const awayBy = (whenNotReady: WhenNotReady) => aWish({ whenNotReady, state: away() });
const unhealthy = ours(awayBy('MarkUnhealthy'), NOW - 1_000);
const active = ours(live, NOW - 1_000);

describe('nextStep', () => {
  const cases: [string, ReturnType<typeof aRow>, Step][] = [
    ['live, nothing known', aRow(live, UNKNOWN), { kind: 'read' }],
    ['live, no key', aRow(live, NONE), { kind: 'write', reason: 'Registered', lane: 'urgent' }],
    ['live, ours, not due', aRow(live, active, { refreshDueMs: NOW + 5 }), { kind: 'wait', untilMs: NOW + 5 }],
    [
      'live, ours, due',
      aRow(live, active, { refreshDueMs: NOW }),
      { kind: 'write', reason: 'Refresh', lane: 'refresh' },
    ],
    [
      'live, ours, another version',
      aRow(aWish({ version: '2.0.0' }), active, { refreshDueMs: NOW + 5 }),
      { kind: 'write', reason: 'SpecChange', lane: 'urgent' },
    ],
    [
      'live, ours, another TTL',
      aRow(aWish({ ttlMs: 60_000 }), active, { refreshDueMs: NOW + 5 }),
      { kind: 'write', reason: 'SpecChange', lane: 'urgent' },
    ],
    [
      'live again after UNHEALTHY',
      aRow(live, unhealthy, { refreshDueMs: NOW + 5 }),
      { kind: 'write', reason: 'Registered', lane: 'urgent' },
    ],
    ['live, foreign, not due', aRow(live, FOREIGN, { refreshDueMs: NOW + 5 }), { kind: 'wait', untilMs: NOW + 5 }],
    ['live, foreign, due', aRow(live, FOREIGN, { refreshDueMs: NOW }), { kind: 'read' }],
    [
      'live, foreign, adopted',
      aRow(aWish({ adopt: true }), FOREIGN),
      { kind: 'write', reason: 'Handover', lane: 'urgent' },
    ],
    ['away, nothing known', aRow(awayBy('MarkUnhealthy'), UNKNOWN), { kind: 'read' }],
    ['away, no key: none is made', aRow(awayBy('MarkUnhealthy'), NONE), { kind: 'rest' }],
    ['away, foreign', aRow(awayBy('Remove'), FOREIGN), { kind: 'rest' }],
    [
      'away, MarkUnhealthy, still ACTIVE',
      aRow(awayBy('MarkUnhealthy'), active),
      { kind: 'write', reason: 'NotReady', lane: 'urgent' },
    ],
    [
      'away, MarkUnhealthy, done: wait for the lapse',
      aRow(awayBy('MarkUnhealthy'), unhealthy),
      { kind: 'wait', untilMs: NOW - 1_000 + 30_500 },
    ],
    [
      'away, MarkUnhealthy, should have lapsed',
      aRow(awayBy('MarkUnhealthy'), ours(awayBy('MarkUnhealthy'), NOW - 31_000)),
      { kind: 'read' },
    ],
    ['away, Lapse', aRow(awayBy('Lapse'), active), { kind: 'wait', untilMs: NOW - 1_000 + 30_500 }],
    ['away, Remove', aRow(awayBy('Remove'), active), { kind: 'purge', reason: 'NotReady' }],
    [
      'deleted pod',
      aRow(aWish({ state: away('Terminating') }), active),
      { kind: 'write', reason: 'Terminating', lane: 'urgent' },
    ],
  ];
  test.each(cases)('%s', (_name, row, step) => {
    expect(nextStep(row, NOW)).toEqual(step);
  });
});

describe('reportOf', () => {
  const cases: [string, ReturnType<typeof aRow>, object][] = [
    ['acknowledged', aRow(live, active), { status: 'ACTIVE', reason: undefined }],
    ['not yet acknowledged', aRow(live, NONE), { status: 'Pending', reason: 'Registering' }],
    ['past its TTL', aRow(live, ours(live, NOW - 30_501)), { status: 'Pending', reason: 'Lapsed' }],
    ['foreign', aRow(live, FOREIGN), { status: 'Conflict', reason: 'HeldByAnother' }],
    ['unhealthy', aRow(awayBy('MarkUnhealthy'), unhealthy), { status: 'UNHEALTHY', reason: 'PodNotReady' }],
    ['never ready', aRow(awayBy('MarkUnhealthy'), NONE), { status: 'Pending', reason: 'PodNotReady' }],
  ];
  test.each(cases)('%s', (_name, row, report) => {
    expect(reportOf(row, NOW)).toEqual(report);
  });
});

test('a key that has passed to another pod is written for it at once, and is not its own before', () => {
  const now = aWish({ podName: 'trading-1' });
  const before = aWish({ podName: 'trading-0' });
  const handed = aRow(now, ours(now, 0, { podUid: before.pod.uid }), { refreshDueMs: 10_000 });
  expect(nextStep(handed, 1_000)).toEqual({ kind: 'write', reason: 'Registered', lane: 'urgent' });
  expect(reportOf(handed, 1_000)).toEqual({ status: 'Pending', reason: 'Registering' });
  const written = aRow(now, ours(now, 0, { podUid: now.pod.uid }), { refreshDueMs: 10_000 });
  expect(nextStep(written, 1_000).kind).toBe('wait');
  expect(reportOf(written, 1_000).status).toBe('ACTIVE');
});
