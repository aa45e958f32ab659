// Who is told that a person's resource leaves a pod out.

import { expect, test } from 'vitest';
import { leftOutBy } from '../../../src/domain/left-out.ts';
import { aPod, aRegistration, aWorkload } from '../../support/builders.ts';

const person = aRegistration({ name: 'by-hand', serviceName: 'trading-service' });
const asking = aPod({ annotations: { register: 'true', 'service-name': 'trading-service' } });
const silent = aPod();
const workload = aWorkload();

test.each<[string, Parameters<typeof leftOutBy>, string | undefined]>([
  ['a pod that asks', [asking, undefined, [person], []], 'by-hand'],
  ['a pod whose workload asks', [silent, workload, [person], []], 'by-hand'],
  ['a pod that nobody asks for', [silent, undefined, [person], []], undefined],
  ['a pod that is selected', [asking, undefined, [person], [person]], undefined],
  [
    'a pod that is selected for something else',
    [asking, undefined, [person], [aRegistration({ serviceName: 'other' })]],
    'by-hand',
  ],
  [
    'a pod that keeps out of its workload',
    [aPod({ annotations: { register: 'false' } }), workload, [person], []],
    undefined,
  ],
  ['a service that nobody registers by hand', [asking, undefined, [{ ...person, owned: true }], []], undefined],
  ['a resource for another service', [asking, undefined, [aRegistration({ serviceName: 'other' })], []], undefined],
  ['a resource that is going', [asking, undefined, [{ ...person, deleting: true }], []], undefined],
  [
    'an invalid resource',
    [asking, undefined, [aRegistration({ problem: 'x', serviceName: 'trading-service' })], []],
    undefined,
  ],
  ['a pod that is going', [{ ...asking, deleting: true }, undefined, [person], []], undefined],
  ['a pod that has ended', [{ ...asking, phase: 'Succeeded' }, undefined, [person], []], undefined],
])('%s', (_, input, expected) => {
  expect(leftOutBy(...input)?.name).toBe(expected);
});
