import { describe, expect, test } from 'vitest';
import { type Asked, decide } from '../../../src/domain/decide.ts';
import type { PodView } from '../../../src/domain/pod.ts';
import type { RegistrationView } from '../../../src/domain/service-registration.ts';
import { UTC } from '../../../src/domain/timestamp.ts';
import { aPod, aRegistration, aSelector, NINE } from '../../support/builders.ts';

const traced = (pod: PodView, registrations: readonly RegistrationView[]): readonly Asked[] => {
  const asked: Asked[] = [];
  const options = { offset: UTC, workloadName: 'trading' };
  const decision = decide(pod, registrations, { ...options, trace: (one) => asked.push(one) });
  // Whoever listens changes nothing.
  expect(decide(pod, registrations, options)).toEqual(decision);
  return asked;
};

const failed = (asked: readonly Asked[]) => asked.filter(({ passed }) => !passed).map(({ rule }) => rule);

describe('the rules that are asked', () => {
  test('of a pod that is registered: all, in order', () => {
    const asked = traced(aPod(), [aRegistration()]);
    expect(asked.map(({ rule }) => rule)).toEqual([
      'RegistrationExists',
      'PodNotFinished',
      'PodNotKeptOut',
      'RegistrationStays',
      'SpecValid',
      'PodSelected',
      'NoOlderRegistration',
      'NotSuspended',
      'PodNotTerminating',
      'PodReady',
      'NodeHeard',
    ]);
    expect(failed(asked)).toEqual([]);
  });

  test.each<readonly [what: string, pod: PodView, registrations: readonly RegistrationView[], failing: string]>([
    ['no registration', aPod(), [], 'RegistrationExists'],
    ['Succeeded', aPod({ phase: 'Succeeded' }), [aRegistration()], 'PodNotFinished'],
    ['Failed', aPod({ phase: 'Failed' }), [aRegistration()], 'PodNotFinished'],
    ['register: "false"', aPod({ annotations: { register: 'false' } }), [aRegistration()], 'PodNotKeptOut'],
    ['registration deleted', aPod(), [aRegistration({ deleting: true })], 'RegistrationStays'],
    ['invalid spec', aPod(), [aRegistration({ problem: 'wrong' })], 'SpecValid'],
    ['other labels', aPod({ labels: { app: 'x' } }), [aRegistration()], 'PodSelected'],
    ['suspended', aPod({ ready: false }), [aRegistration({ settings: { suspend: true } })], 'NotSuspended'],
    ['terminating', aPod({ deleting: true, ready: false }), [aRegistration()], 'PodNotTerminating'],
    ['not Ready', aPod({ ready: false }), [aRegistration()], 'PodReady'],
  ])('%s: the last one stops it', (_what, pod, registrations, failing) => {
    const asked = traced(pod, registrations);
    expect(asked.at(-1)?.rule).toBe(failing);
    expect(failed(asked)).toEqual([failing]);
  });

  test('two resources of one service: the younger is told who has the pod', () => {
    const younger = { name: 'canary', serviceName: 'trading-service', createdAtMs: NINE + 1 };
    const canary = aRegistration({ ...younger, settings: { selector: aSelector({ app: 'trading' }) } });
    const last = traced(aPod(), [canary, aRegistration()]).at(-1);
    expect(last).toEqual({
      rule: 'NoOlderRegistration',
      passed: false,
      registration: 'trading/canary',
      winner: 'trading/trading-service',
    });
  });
});
