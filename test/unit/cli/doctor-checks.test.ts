import { describe, expect, test } from 'vitest';
import { type Check, checkLines, type Verdict } from '../../../src/cli/check.ts';
import {
  clockCheck,
  conflictCheck,
  crdCheck,
  driftCheck,
  kubernetesCheck,
  leaderCheck,
  nodeRightsCheck,
  nodesCheck,
  resourcesCheck,
  rightsCheck,
  secondInstallationCheck,
} from '../../../src/cli/doctor-checks.ts';
import { type RegistryEntry, readEntry } from '../../../src/cli/registry-entry.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import { NINE } from '../../support/builders.ts';
import { aMessage, BUCKET, type MessageOptions } from './messages.ts';

const clocks = { wallMs: NINE + 1_000, serverWallMs: NINE + 1_000 };

const entry = (options: MessageOptions = {}): RegistryEntry => {
  const read = readEntry(aMessage(options), BUCKET);
  if (read.kind !== 'entry') throw new Error('no entry');
  return read.entry;
};

const lock = (storedAtMs: number, operation: 'PUT' | 'MaxAge' = 'PUT') =>
  aMessage({ operation, storedAtMs, headers: { 'Rollcall-Holder': 'rollcall-0-7-0a1b2c3d' } });

const installation = (some: { readonly hasPod?: boolean; readonly namespaces?: readonly string[] } = {}) => ({
  operatorId: 'my-cluster',
  hasPod: () => some.hasPod ?? true,
  operatorNamespaces: some.namespaces ?? ['rollcall-system'],
});

const refused = (reason: string) => [{ registration: objectKey('trading', 'x'), reason, message: 'Because.' }];
const drift = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ key: `k${i}`, action: 'create', pod: `trading/p${i}` }));

test.each<readonly [what: string, check: Check, verdict: Verdict, says: readonly string[]]>([
  ['Kubernetes 1.36', kubernetesCheck('v1.36.3'), 'ok', ['v1.36.3']],
  ['Kubernetes 1.31', kubernetesCheck('v1.31.0'), 'warning', ['1.32', 'docs/compatibility.md']],
  ['all rights', rightsCheck([], 19), 'ok', ['19']],
  ['a right missing', rightsCheck(['watch pods'], 19), 'failure', ['watch pods', 'cluster-role.yaml', 'doctor']],
  ['all CRDs', crdCheck(['serviceregistrations'], ['serviceregistrations', 'x']), 'ok', []],
  ['a CRD missing', crdCheck(['serviceregistrations'], []), 'failure', ['kubectl apply -f crds/']],
  ['clocks agree', clockCheck('clock', 300, 'Ours and theirs'), 'ok', ['0.30 s']],
  ['clocks 3 s off', clockCheck('clock', -3_000, 'Ours and theirs'), 'warning', ['3 s apart']],
  ['clocks 30 s off', clockCheck('clock', 30_000, 'Ours and theirs'), 'failure', ['30 s apart', 'chrony']],
  ['a leader', leaderCheck(lock(NINE), 'my-cluster', clocks), 'ok', ['rollcall-0']],
  ['a leader that is late', leaderCheck(lock(NINE - 4_500), 'my-cluster', clocks), 'warning', ['did not renew']],
  [
    'a lock that lapsed',
    leaderCheck(lock(NINE, 'MaxAge'), 'my-cluster', clocks),
    'failure',
    ['my-cluster', 'get pods'],
  ],
  ['no lock', leaderCheck(undefined, 'my-cluster', clocks), 'failure', ['every key lapses']],
  ['our own pods', secondInstallationCheck([entry()], installation(), clocks), 'ok', []],
  [
    'pods that are not here, refreshed under our id',
    secondInstallationCheck([entry()], installation({ hasPod: false }), clocks),
    'failure',
    ['trading/trading-1', '--operator-id'],
  ],
  [
    'a key of a pod that just went',
    secondInstallationCheck([entry({ value: { status: 'UNHEALTHY' } })], installation({ hasPod: false }), clocks),
    'ok',
    [],
  ],
  [
    'a key that nobody refreshes any more',
    secondInstallationCheck([entry({ storedAtMs: NINE - 20_000 })], installation({ hasPod: false }), clocks),
    'ok',
    [],
  ],
  [
    'keys of another installation',
    secondInstallationCheck(
      [entry({ headers: { 'Rollcall-Owner': 'other/trading/p/uid' } }), entry({ headers: {} })],
      installation({ hasPod: false }),
      clocks,
    ),
    'ok',
    [],
  ],
  [
    'two installations in one cluster',
    secondInstallationCheck([], installation({ namespaces: ['a', 'b'] }), clocks),
    'warning',
    ['a, b', '--operator-id'],
  ],
  ['no drift', driftCheck([], 3), 'ok', ['3 keys']],
  ['drift', driftCheck(drift(7), 9), 'failure', ['7 keys missing', 'trading/p4 and 2 more', 'rollcall explain']],
  ['no conflict', conflictCheck([]), 'ok', []],
  ['a conflict', conflictCheck([{ pod: 'trading/p', detail: 'held by x' }]), 'warning', ['trading/p held by x']],
  ['a resource that waits for pods', resourcesCheck(refused('WaitingForPods'), 1), 'ok', []],
  ['an invalid resource', resourcesCheck(refused('InvalidSpec'), 1), 'warning', ['trading/x InvalidSpec: Because.']],
  [
    'two resources, a sentence each',
    resourcesCheck([...refused('InvalidSpec'), ...refused('Conflict')], 2),
    'warning',
    ['2 ServiceRegistrations wait for a person: trading/x InvalidSpec: Because. trading/x Conflict: Because.\n'],
  ],
])('%s', (_what, check, verdict, says) => {
  expect(check.verdict).toBe(verdict);
  const text = checkLines([check]).join('\n');
  for (const part of says) expect(text).toContain(part);
});

describe('what is wrong', () => {
  test('always says what to do', () => {
    const checks = [
      crdCheck(['x'], []),
      clockCheck('clock', 9_999, 'a'),
      driftCheck(drift(1), 1),
      rightsCheck(['x'], 1),
    ];
    for (const { advice } of checks) expect(advice).toMatch(/\S{3}/);
  });
});

const judged = (all: number, lost: number, braked = false) => ({
  all,
  lost: Array.from({ length: lost }, (_, i) => `node-${i}`),
  braked,
});

test.each<readonly [what: string, check: Check, verdict: Verdict, says: string]>([
  ['all speak', nodesCheck(judged(3, 0)), 'ok', '3 nodes with a lease renew it.'],
  ['one is lost', nodesCheck(judged(3, 1)), 'warning', '1 of 3 nodes does not renew its lease, or Kubernetes'],
  ['many are lost', nodesCheck(judged(20, 7)), 'warning', 'node-4 and 2 more. Their pods count as not Ready.'],
  ['too many are lost', nodesCheck(judged(20, 12, true)), 'failure', 'nothing is concluded from it'],
])('nodes: %s', (_, check, verdict, says) => {
  expect(check.verdict).toBe(verdict);
  expect(checkLines([check]).join('\n')).toContain(says);
});

test('rights to nodes that are left out are told, and all is well with them', () => {
  expect(nodeRightsCheck([])).toEqual([]);
  expect(nodeRightsCheck(['list nodes'])).toMatchObject([{ verdict: 'warning' }]);
});
