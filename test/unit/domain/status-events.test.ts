// Which Events a resource's changes of status are worth, and that a status without news is worth none.

import { expect, test } from 'vitest';
import type { RegistrationStatus } from '../../../src/domain/registration-status.ts';
import { statusEvents } from '../../../src/domain/status-events.ts';

type Told = Readonly<Record<string, readonly [status: 'True' | 'False' | 'Unknown', reason: string]>>;

const aStatus = (told: Told = {}): RegistrationStatus => ({
  observedGeneration: 1,
  serviceName: 'trading-service',
  bucket: 'service-registry',
  ready: '1/1',
  instances: { selected: 1, registered: 1, active: 1, standby: 0, unhealthy: 0, pending: 0, conflicting: 0 },
  details: [],
  conditions: Object.entries({
    Ready: ['True', 'Registered'] as const,
    Conflict: ['False', 'NoConflict'] as const,
    Degraded: ['False', 'AsExpected'] as const,
    ...told,
  }).map(([type, [status, reason]]) => ({ type, status, reason, message: `${reason}.`, lastTransitionTime: '' })),
});

const away = { Ready: ['False', 'RegistryUnavailable'] } as const;
const stale = { Ready: ['Unknown', 'ViewStale'] } as const;

test.each<[string, Told | undefined, Told, readonly string[]]>([
  ['the first status', undefined, {}, []],
  ['no news', {}, {}, []],
  ['the registry goes away', {}, away, ['Warning RegistryUnavailable RegistryUnavailable.']],
  ['it was away from the first', undefined, away, ['Warning RegistryUnavailable RegistryUnavailable.']],
  ['it is still away', away, away, []],
  [
    'another trouble with it',
    away,
    { Ready: ['False', 'RegistryFull'] },
    ['Warning RegistryUnavailable RegistryFull.'],
  ],
  ['it is back', away, {}, ['Normal Recovered The registry can be written again. Registered.']],
  [
    'it is back, and keys are on their way',
    { Ready: ['False', 'RegistryDenied'] },
    { Ready: ['False', 'Registering'] },
    ['Normal Recovered The registry can be written again. Registering.'],
  ],
  ['nobody knows whether it is back', away, stale, []],
  ['pods come and go', {}, { Ready: ['False', 'NoPodsSelected'] }, []],
  ['two resources', {}, { Conflict: ['True', 'SelectedTwice'] }, ['Warning Conflict SelectedTwice.']],
  ['two pods of one id', {}, { Conflict: ['True', 'SameInstanceId'] }, ['Warning Conflict SameInstanceId.']],
  ['a foreign key, told where it is found', {}, { Conflict: ['True', 'HeldByAnother'] }, []],
  ['the brake', {}, { Degraded: ['True', 'Holding'] }, ['Warning MassLapseHeld Holding.']],
  ['the brake still', { Degraded: ['True', 'Holding'] }, { Degraded: ['True', 'Holding'] }, []],
  ['a short TTL', {}, { Degraded: ['True', 'TtlShorterThanHandover'] }, []],
])('%s', (_, before, after, expected) => {
  const events = statusEvents(before === undefined ? undefined : aStatus(before), aStatus(after));
  expect(events.map(({ type, reason, note }) => `${type} ${reason} ${note}`)).toEqual(expected);
});

test.each([
  [undefined],
  [null],
  ['x'],
  [{ conditions: 'x' }],
  [{ conditions: [null, 7] }],
])('a stored status of %j does no harm', (before) => {
  expect(statusEvents(before, aStatus())).toEqual([]);
});
