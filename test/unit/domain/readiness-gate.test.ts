// When a readiness gate opens, and what is said while it does not.

import { expect, test } from 'vitest';
import { type GateInput, gateStep } from '../../../src/domain/readiness-gate.ts';
import type { InstanceReport } from '../../../src/domain/registration-status.ts';
import { NINE } from '../../support/builders.ts';

const aReport = (report: Partial<InstanceReport> = {}): InstanceReport => ({
  pod: 'trading-1',
  key: 'service-instances.a.b',
  status: 'ACTIVE',
  ready: true,
  sinceMs: NINE,
  ...report,
});
const underWay = aReport({ status: 'Pending', reason: 'Registering' });
const held = aReport({ status: 'Conflict', reason: 'HeldByAnother', heldBy: 'other/x/y/z' });
const suspended = aReport({ status: 'Pending', reason: 'Suspended' });

const broken = (unwellForMs: number): Partial<GateInput> => ({
  registry: { kind: 'broken', reason: 'RegistryDenied', message: 'The right to publish is missing.', maxAgeSeconds: 0 },
  unwellForMs,
});

const denied: InstanceReport = { ...underWay, refusal: { reason: 'RegistryDenied', message: 'Grant it.' } };

test.each<[string, Partial<GateInput>, string, string | undefined, RegExp]>([
  ['its key stands', {}, 'open', 'Registered', /^service-instances\.a\.b stands\.$/],
  ['its key stands, in standby', { reports: [aReport({ status: 'STANDBY' })] }, 'open', 'Registered', /./],
  ['its key stands, whatever the registry does now', broken(1_000), 'open', 'Registered', /./],
  ['both of its keys stand', { reports: [aReport(), aReport({ key: 'k2' })] }, 'open', 'Registered', /b and k2 stands/],
  ['one of two keys stands', { reports: [aReport(), underWay] }, 'wait', undefined, /^$/],
  ['its key still says UNHEALTHY', { reports: [aReport({ status: 'UNHEALTHY' })] }, 'wait', undefined, /^$/],
  ['its key is on its way', { reports: [underWay], waitedMs: 59_000 }, 'wait', undefined, /^$/],
  [
    'its key is on its way for long',
    { reports: [underWay], waitedMs: 60_000 },
    'refuse',
    'Registering',
    /a\.b is still not/,
  ],
  ['the registry will not have its key, yet', { reports: [denied], waitedMs: 59_000 }, 'wait', undefined, /^$/],
  [
    'the registry will not have its key',
    { reports: [denied], waitedMs: 60_000 },
    'open',
    'RegistryDenied',
    /^Not registered, and not waited for any longer\. Grant it\.$/,
  ],
  ['nobody selects it, yet', { reports: [], waitedMs: 4_999 }, 'wait', undefined, /^$/],
  [
    'nobody selects it',
    { reports: [], waitedMs: 5_000 },
    'refuse',
    'NotSelected',
    /^No ServiceRegistration selects this pod/,
  ],
  [
    'it keeps itself out',
    { reports: [], waitedMs: 5_000, keptOut: true },
    'refuse',
    'NotSelected',
    /register: "false"/,
  ],
  [
    'a resource is invalid',
    { reports: [], waitedMs: 5_000, invalid: ['ServiceRegistration x'] },
    'refuse',
    'NotSelected',
    /The spec of ServiceRegistration x is invalid/,
  ],
  ['its key is held by another', { reports: [held], waitedMs: 5_000 }, 'refuse', 'Conflict', /held by other\/x\/y\/z/],
  ['one of its keys is held by another', { reports: [aReport(), held], waitedMs: 5_000 }, 'refuse', 'Conflict', /./],
  [
    'its name is denied',
    { reports: [], waitedMs: 5_000, denial: { reason: 'NameDenied', message: 'It is a/b.' } },
    'refuse',
    'NameDenied',
    /^It is a\/b\.$/,
  ],
  ['it is suspended', { reports: [suspended], waitedMs: 5_000 }, 'refuse', 'Suspended', /spec\.suspend/],
  [
    'the registry is away for a while',
    { reports: [underWay], ...broken(59_999), waitedMs: 90_000 },
    'wait',
    undefined,
    /^$/,
  ],
  [
    'the registry is away for too long',
    { reports: [underWay], ...broken(60_000), waitedMs: 0 },
    'open',
    'RegistryDenied',
    /Not registered.* 60 s or more\. The right/,
  ],
  [
    'what nobody selects gains nothing by that',
    { reports: [], ...broken(60_000), waitedMs: 5_000 },
    'refuse',
    'NotSelected',
    /./,
  ],
])('%s', (_, input, kind, reason, message) => {
  const step = gateStep({
    reports: [aReport()],
    keptOut: false,
    invalid: [],
    registry: { kind: 'writable', maxAgeSeconds: 0 },
    unwellForMs: 0,
    waitedMs: 1_000,
    timeoutMs: 60_000,
    ...input,
  });
  const said = step.kind === 'wait' ? { reason: undefined, message: '' } : step;
  expect([step.kind, said.reason]).toEqual([kind, reason]);
  expect(said.message).toMatch(message);
});
