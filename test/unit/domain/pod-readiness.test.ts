// When a pod counts as Ready: by its Ready condition, or without our part in it where it waits for us.

import { describe, expect, test } from 'vitest';
import { type PodGate, podReadiness } from '../../../src/domain/pod-readiness.ts';
import { NINE } from '../../support/builders.ts';

const OURS = 'rollcall.dev/registered';
const OTHER = 'mesh.example.com/ready';

/** `True@3`: status and seconds after nine. */
const aStatus = (conditions: Readonly<Record<string, string>>) => ({
  conditions: Object.entries(conditions).map(([type, text]) => {
    const [status, seconds, reason] = text.split('@');
    return {
      type,
      status,
      lastTransitionTime: `2026-11-23T09:00:0${seconds}Z`,
      ...(reason === undefined ? {} : { reason }),
    };
  }),
});

const readiness = (conditions: Readonly<Record<string, string>>, gates?: readonly string[]) =>
  podReadiness(
    gates === undefined ? {} : { readinessGates: gates.map((conditionType) => ({ conditionType })) },
    aStatus(conditions),
    OURS,
  );

describe('a pod without our gate', () => {
  test.each<[string, Readonly<Record<string, string>>, readonly string[] | undefined, boolean]>([
    ['Ready', { Ready: 'True@2', ContainersReady: 'True@1' }, undefined, true],
    ['not Ready', { Ready: 'False@2', ContainersReady: 'False@1' }, undefined, false],
    ['waiting for the gate of another', { Ready: 'False@2', ContainersReady: 'True@1' }, [OTHER], false],
    [
      'waiting for our gate under another prefix',
      { Ready: 'False@2', ContainersReady: 'True@1' },
      ['x.dev/registered'],
      false,
    ],
  ])('%s', (_, conditions, gates, ready) => {
    expect(readiness(conditions, gates)).toEqual({ ready, readyChangedAtMs: NINE + 2_000 });
  });
});

describe('a pod with our gate', () => {
  const waiting = 'False@1@ReadinessGatesNotReady';
  test.each<[string, Readonly<Record<string, string>>, readonly string[], boolean, number, PodGate['kind']]>([
    ['closed, containers ready', { Ready: waiting, ContainersReady: 'True@2' }, [OURS], true, 2, 'closed'],
    ['closed, and no Ready condition yet', { ContainersReady: 'True@2' }, [OURS], true, 2, 'closed'],
    ['closed, containers not ready', { Ready: 'False@1', ContainersReady: 'False@2' }, [OURS], false, 2, 'closed'],
    ['closed, another gate too', { Ready: waiting, ContainersReady: 'True@2' }, [OTHER, OURS], false, 0, 'closed'],
    [
      'closed, the other one False',
      { Ready: waiting, ContainersReady: 'True@2', [OTHER]: 'False@3' },
      [OTHER, OURS],
      false,
      3,
      'closed',
    ],
    [
      'closed, the other one True',
      { Ready: waiting, ContainersReady: 'True@2', [OTHER]: 'True@4' },
      [OTHER, OURS],
      true,
      4,
      'closed',
    ],
    [
      'open, the kubelet has not seen it',
      { Ready: waiting, ContainersReady: 'True@2', [OURS]: 'True@3' },
      [OURS],
      true,
      2,
      'open',
    ],
    [
      'open and Ready: ready since it was ready but for us',
      { Ready: 'True@5', ContainersReady: 'True@2', [OURS]: 'True@3' },
      [OURS],
      true,
      2,
      'open',
    ],
    [
      'open, on a lost node',
      { Ready: 'False@7', ContainersReady: 'True@2', [OURS]: 'True@3' },
      [OURS],
      false,
      7,
      'open',
    ],
    [
      'open, another gate has closed',
      { Ready: 'False@7@ReadinessGatesNotReady', ContainersReady: 'True@2', [OURS]: 'True@3', [OTHER]: 'False@6' },
      [OURS, OTHER],
      false,
      6,
      'open',
    ],
    [
      'open, containers fail',
      { Ready: 'False@7', ContainersReady: 'False@6', [OURS]: 'True@3' },
      [OURS],
      false,
      7,
      'open',
    ],
  ])('%s', (_, conditions, gates, ready, seconds, kind) => {
    const { gate, unreadyByNode: _isMarked, ...rest } = readiness(conditions, gates);
    expect(rest).toEqual({ ready, ...(seconds === 0 ? {} : { readyChangedAtMs: NINE + seconds * 1_000 }) });
    expect(gate?.kind).toBe(kind);
  });

  test('what was said of it is kept, to be compared', () => {
    const conditions = [{ type: OURS, status: 'False', reason: 'NotSelected', message: 'Nobody selects it.' }];
    expect(podReadiness({ readinessGates: [{ conditionType: OURS }] }, { conditions }, OURS).gate).toEqual({
      kind: 'closed',
      reason: 'NotSelected',
      message: 'Nobody selects it.',
    });
  });

  test.each([[null], ['x'], [{}], [[null, 7, { conditionType: 3 }]]])('gates of nonsense: %j', (readinessGates) => {
    expect(podReadiness({ readinessGates }, aStatus({ Ready: 'True@2' }), OURS)).toEqual({
      ready: true,
      readyChangedAtMs: NINE + 2_000,
    });
  });
});

// The node controller of Kubernetes 1.36 (MarkPodsNotReady) sets the status of Ready to False, with a new time, and leaves
// its reason, which of a Ready pod is none, and all other conditions as they are.
test.each<[string, Readonly<Record<string, string>>, readonly string[] | undefined, boolean]>([
  ['by the node controller', { Ready: 'False@2', ContainersReady: 'True@1' }, undefined, true],
  ['by it, with a gate of another', { Ready: 'False@2', ContainersReady: 'True@1', [OTHER]: 'True@1' }, [OTHER], true],
  ['by it, with our gate', { Ready: 'False@2', ContainersReady: 'True@1', [OURS]: 'True@1' }, [OURS], true],
  ['by its kubelet', { Ready: 'False@2@ContainersNotReady', ContainersReady: 'False@2' }, undefined, false],
  ['waiting for a gate', { Ready: 'False@2@ReadinessGatesNotReady', ContainersReady: 'True@1' }, [OTHER], false],
  [
    'its gate open, which its kubelet has not seen',
    { Ready: 'False@2@ReadinessGatesNotReady', ContainersReady: 'True@1', [OTHER]: 'True@3' },
    [OTHER],
    false,
  ],
  ['without a word of its containers', { Ready: 'False@2' }, undefined, false],
  ['Unknown', { Ready: 'Unknown@2', ContainersReady: 'True@1' }, undefined, false],
  ['without a Ready condition', { ContainersReady: 'True@1' }, undefined, false],
])('not Ready, %s', (_, conditions, gates, unreadyByNode) => {
  const { unreadyByNode: isMarked = false, ready } = readiness(conditions, gates);
  expect({ ready, isMarked }).toEqual({ ready: false, isMarked: unreadyByNode });
});
