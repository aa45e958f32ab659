import { expect, test } from 'vitest';
import { ReconcileFailures } from '../../../src/controllers/reconcile-failures.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('the first failure of a controller is logged at once, further ones as one line per 10 s with a count', async () => {
  const clock = new FakeClock();
  const lines: object[] = [];
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet, error: quiet, warn: (fields: object) => void lines.push(fields) };
  const failures = new ReconcileFailures(clock, log);
  const [pods, owned] = [failures.of('pod'), failures.of('owned')];
  pods('a/1', new Error('away'));
  owned('a/x', 'away');
  for (let i = 0; i < 500; i += 1) {
    pods(`a/${i}`, new Error('away'));
    await clock.advance(50);
  }
  expect(lines).toEqual([
    { controller: 'pod', key: 'a/1', error: 'Error: away' },
    { controller: 'owned', key: 'a/x', error: 'away' },
    { controller: 'pod', key: 'a/200', error: 'Error: away', moreSince: 200 },
    { controller: 'pod', key: 'a/400', error: 'Error: away', moreSince: 199 },
  ]);
  await clock.advance(60_000);
  pods('b/1', new Error('invalid'));
  expect(lines.at(-1)).toEqual({ controller: 'pod', key: 'b/1', error: 'Error: invalid', moreSince: 99 });
});
