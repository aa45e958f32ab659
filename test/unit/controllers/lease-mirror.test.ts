import { expect, test } from 'vitest';
import type { LeaseShown, WriteOutcome } from '../../../src/controllers/cluster.ts';
import { mirrorLease } from '../../../src/controllers/lease-mirror.ts';
import { NINE } from '../../support/builders.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const mirror = (namespace: string | undefined) => {
  const clock = new FakeClock({ wallMs: NINE });
  const written: LeaseShown[] = [];
  const warnings: string[] = [];
  const state: { term: number | undefined; outcome: WriteOutcome | 'throws'; failures: number } = {
    term: undefined,
    outcome: { kind: 'done' },
    failures: 0,
  };
  const stop = new AbortController();
  const running = mirrorLease(
    {
      cluster: {
        applyLease: async (lease) => {
          written.push(lease);
          if (state.outcome === 'throws') throw new Error('no answer');
          return state.outcome;
        },
      },
      clock,
      log: { debug: () => {}, info: () => {}, warn: (_, text) => void warnings.push(text), error: () => {} },
      namespace,
      holder: 'replica-a',
      term: () => state.term,
      onFailure: () => {
        state.failures += 1;
      },
    },
    stop.signal,
  );
  const end = async () => {
    stop.abort();
    await running;
  };
  return { clock, written, warnings, state, end };
};

test('the leader says so at once and each 10 s, and a standby says nothing', async () => {
  const { clock, written, state, end } = mirror('rollcall-system');
  await clock.advance(60_000);
  expect(written).toEqual([]);
  state.term = 7;
  await clock.advance(1_500);
  expect(written).toEqual([
    {
      namespace: 'rollcall-system',
      name: 'rollcall',
      holder: 'replica-a',
      seconds: 30,
      acquiredAtMs: NINE + 61_000,
      renewedAtMs: NINE + 61_000,
    },
  ]);
  await clock.advance(60_000);
  expect(written).toHaveLength(7);
  expect(new Set(written.map(({ acquiredAtMs }) => acquiredAtMs)).size).toBe(1);
  state.term = undefined;
  await clock.advance(60_000);
  expect(written).toHaveLength(7);
  state.term = 9;
  await clock.advance(1_500);
  expect(written).toHaveLength(8);
  await end();
});

test('a Lease that cannot be written is counted each time, told once, and tried again', async () => {
  const { clock, written, warnings, state, end } = mirror('rollcall-system');
  state.term = 7;
  state.outcome = { kind: 'denied', description: 'forbidden' };
  await clock.advance(35_000);
  expect(state.failures).toBe(4);
  expect(warnings).toHaveLength(1);
  state.outcome = 'throws';
  await clock.advance(10_000);
  expect(state.failures).toBe(5);
  state.outcome = { kind: 'done' };
  await clock.advance(10_000);
  expect(state.failures).toBe(5);
  expect(written).toHaveLength(6);
  await end();
});

test('without a namespace there is none', async () => {
  const { clock, written, state, end } = mirror(undefined);
  state.term = 7;
  await clock.advance(60_000);
  expect(written).toEqual([]);
  await end();
});
