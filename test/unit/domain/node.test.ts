// What is kept of nodes and leases, whatever they look like.

import { expect, test } from 'vitest';
import { trimLease, trimNode } from '../../../src/domain/node.ts';
import { NINE } from '../../support/builders.ts';

const metadata = { name: 'node-a', uid: 'u1' };
const withReady = (condition: object) => ({ metadata, status: { conditions: [{ type: 'DiskPressure' }, condition] } });
const NODE = { key: '/node-a', namespace: '', name: 'node-a', uid: 'u1' };

test.each<[string, unknown, object | undefined]>([
  ['Ready', withReady({ type: 'Ready', status: 'True' }), NODE],
  ['not Ready by its own word', withReady({ type: 'Ready', status: 'False' }), NODE],
  [
    'not heard',
    withReady({ type: 'Ready', status: 'Unknown', lastTransitionTime: '2026-11-23T09:00:00Z' }),
    { ...NODE, unknownSinceMs: NINE },
  ],
  [
    'not heard, nobody knows since when',
    withReady({ type: 'Ready', status: 'Unknown' }),
    { ...NODE, unknownSinceMs: 0 },
  ],
  ['without a status', { metadata }, NODE],
  ['with an odd status', { metadata, status: { conditions: 'none' } }, NODE],
  ['without a name', { metadata: { uid: 'u1' } }, undefined],
  ['without a UID', { metadata: { name: 'node-a' } }, undefined],
  ['that is none', 'node', undefined],
])('a node that is %s', (_, raw, expected) => {
  expect(trimNode(raw)).toEqual(expected);
});

test.each<[string, unknown, object | undefined]>([
  [
    'renewed',
    { metadata: { ...metadata, namespace: 'kube-node-lease' }, spec: { renewTime: '2026-11-23T09:00:00.000000Z' } },
    {
      key: 'kube-node-lease/node-a',
      namespace: 'kube-node-lease',
      name: 'node-a',
      uid: 'u1',
      renewTime: '2026-11-23T09:00:00.000000Z',
    },
  ],
  ['never renewed', { metadata: { ...metadata, namespace: 'kube-node-lease' }, spec: {} }, undefined],
  ['without a spec', { metadata: { ...metadata, namespace: 'kube-node-lease' } }, undefined],
  ['in no namespace', { metadata, spec: { renewTime: 'x' } }, undefined],
  ['that is none', 7, undefined],
])('a lease that is %s', (_, raw, expected) => {
  expect(trimLease(raw)).toEqual(expected);
});
