import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { nextRefreshMs } from '../../src/table/spread.ts';
import { type Timed, TimingWheel } from '../../src/table/timing-wheel.ts';

interface Item extends Timed<Item> {
  readonly id: number;
}

const ascending = (a: number, b: number): number => a - b;

const item = (id: number): Item => ({ id, dueMs: 0, list: undefined, previous: undefined, next: undefined });

describe('TimingWheel', () => {
  test('hands every member out once, in the tick of its due time, whatever is scheduled, moved and removed', () => {
    const operation = fc.oneof(
      fc.record({ kind: fc.constant('schedule' as const), id: fc.nat(20), inMs: fc.nat(3_000) }),
      fc.record({ kind: fc.constant('remove' as const), id: fc.nat(20) }),
      fc.record({ kind: fc.constant('advance' as const), byMs: fc.nat(2_500) }),
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        let nowMs = 5_000;
        const wheel = new TimingWheel<Item>(100, 8, nowMs);
        const items = Array.from({ length: 21 }, (_, id) => item(id));
        const expected = new Map<number, number>();
        const advance = (toMs: number) => {
          const handedOut: number[] = [];
          wheel.advance(toMs, ({ id }) => handedOut.push(id));
          const due = [...expected].filter(([, dueMs]) => Math.floor(dueMs / 100) <= Math.floor(toMs / 100));
          expect(handedOut.toSorted(ascending)).toEqual(due.map(([id]) => id).toSorted(ascending));
          for (const id of handedOut) expected.delete(id);
        };
        for (const step of operations) {
          const member = items[step.kind === 'advance' ? 0 : step.id];
          if (member === undefined) continue;
          if (step.kind === 'schedule') {
            wheel.schedule(member, nowMs + step.inMs);
            // A due time whose slot has been handed out already waits for the next slot.
            expected.set(member.id, Math.max(nowMs + step.inMs, wheel.nextTickMs()));
          } else if (step.kind === 'remove') {
            member.list?.remove(member);
            expected.delete(member.id);
          } else {
            nowMs += step.byMs;
            advance(nowMs);
          }
        }
        advance(nowMs + 10_000);
        expect(expected.size).toBe(0);
      }),
    );
  });
});

test('a member that is scheduled again while it is handed out comes with the next call, not in the same', () => {
  const wheel = new TimingWheel<Item>(100, 8, 5_000);
  const member = item(1);
  wheel.schedule(member, 5_150);
  let handedOut = 0;
  const again = () => {
    handedOut += 1;
    wheel.schedule(member, 5_180);
  };
  wheel.advance(5_160, again);
  expect(handedOut).toBe(1);
  wheel.advance(5_190, again);
  expect(handedOut).toBe(1);
  wheel.advance(5_200, again);
  expect(handedOut).toBe(2);
});

describe('nextRefreshMs', () => {
  test('is later, at most one interval away, on a tick, and exactly one interval after itself', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e9, noNaN: true }),
        fc.integer({ min: 1, max: 1_200 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (nowMs, seconds, fraction) => {
          const intervalMs = seconds * 1_000;
          const next = nextRefreshMs(nowMs, intervalMs, 200, fraction);
          expect(next).toBeGreaterThan(nowMs);
          expect(next).toBeLessThanOrEqual(nowMs + intervalMs);
          expect(next % 200).toBe(0);
          expect(nextRefreshMs(next, intervalMs, 200, fraction)).toBe(next + intervalMs);
        },
      ),
    );
  });

  test('spreads many keys evenly', () => {
    const slots = new Map<number, number>();
    for (let i = 0; i < 10_000; i += 1) {
      const next = nextRefreshMs(1_000_000, 10_000, 200, (i * 0.618_034) % 1);
      slots.set(next, (slots.get(next) ?? 0) + 1);
    }
    expect(slots.size).toBe(50);
    expect(Math.max(...slots.values())).toBeLessThan(220);
  });
});
