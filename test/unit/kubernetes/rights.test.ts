import { expect, test } from 'vitest';
import type { Right } from '../../../src/controllers/cluster.ts';
import { ApiError } from '../../../src/kubernetes/api-transport.ts';
import { awaitRights, describeRight, operatorRights } from '../../../src/kubernetes/rights.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('missing rights are told once, and that they were granted; an API server that is away says nothing', async () => {
  const clock = new FakeClock();
  const refused = new Set(['watch pods', 'patch serviceregistrations/status.rollcall.dev']);
  let away = true;
  const canI = async (right: Right) => {
    if (away) throw new ApiError('transient', 'away');
    return !refused.has(describeRight(right));
  };
  const told: (readonly string[])[] = [];
  const stop = new AbortController();
  const asking = awaitRights(
    { canI },
    operatorRights({ readinessGates: false, namespace: [] }),
    clock,
    (missing) => told.push(missing),
    stop.signal,
  );
  await clock.advance(20_000);
  expect(told).toEqual([]);
  away = false;
  await clock.advance(20_000);
  expect(told).toEqual([[...refused]]);
  refused.clear();
  await clock.advance(6_000);
  expect(told.at(-1)).toEqual([]);
  expect(told).toHaveLength(2);
  await asking;
});

test('where single namespaces are watched, every right is asked for in each of them and none in the cluster', () => {
  const everywhere = operatorRights({ readinessGates: true, namespace: [] });
  const some = operatorRights({ readinessGates: true, namespace: ['one', 'two'] });
  expect(some.every(({ namespace }) => namespace !== undefined)).toBe(true);
  const inOne = some.filter(({ namespace }) => namespace === 'one').map(describeRight);
  expect(inOne).toEqual(
    everywhere
      .filter(({ resource }) => resource !== 'namespaces' && resource !== 'servicenamepolicies')
      .map((right) => `${describeRight(right)} in one`),
  );
});
