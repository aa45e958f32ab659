import { describe, expect, test } from 'vitest';
import {
  type Claimant,
  judgeName,
  type NameClaimMode,
  registryName,
  unfitClaim,
} from '../../../src/domain/name-claims.ts';
import { objectKey } from '../../../src/domain/pod.ts';
import { policyMatches, trimPolicy } from '../../../src/domain/service-name-policy.ts';
import { NINE } from '../../support/builders.ts';
import { aPolicy } from '../../support/policies.ts';

const claimant = (namespace: string, createdAtMs = NINE, name = 'api'): Claimant => ({
  key: objectKey(namespace, name),
  namespace,
  createdAtMs,
});

const LABELS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  payments: { team: 'payments' },
  rates: { team: 'rates' },
};

const ask = (mode: NameClaimMode, claimants: readonly Claimant[], policies: readonly ReturnType<typeof aPolicy>[]) =>
  judgeName({ name: 'payments-api', mode, claimants, policies, labelsOf: (namespace) => LABELS[namespace] });

const ours = aPolicy({ name: 'payments', names: ['payments-*'], matchLabels: { team: 'payments' } });
const theirs = aPolicy({ name: 'rates', names: ['payments-api'], matchLabels: { team: 'rates' } });
const nobodys = aPolicy({ name: 'closed', names: ['payments-*'], matchLabels: { team: 'nobody' } });
const both = [claimant('rates', NINE), claimant('payments', NINE + 1_000)];

describe('who may use a name', () => {
  test.each<[string, NameClaimMode, readonly ReturnType<typeof aPolicy>[], string, string]>([
    ['the oldest', 'FirstCome', [], 'rates', 'granted'],
    ['a younger one', 'FirstCome', [], 'payments', 'denied'],
    ['anybody', 'Open', [], 'payments', 'granted'],
    ['the oldest of those that come to one text', 'Prefixed', [], 'rates', 'granted'],
    ['a younger one of them', 'Prefixed', [], 'payments', 'denied'],
    ['whom a policy selects, though it is younger', 'FirstCome', [ours], 'payments', 'granted'],
    ['whom it does not select, though it is the oldest', 'FirstCome', [ours], 'rates', 'denied'],
    ['nobody else, also where names are open', 'Open', [ours], 'rates', 'denied'],
    ['whom one of several policies selects', 'FirstCome', [nobodys, ours, theirs], 'rates', 'granted'],
    ['nobody, by a policy that selects nobody', 'Open', [nobodys], 'payments', 'denied'],
    ['undecided while the namespace is not in view', 'FirstCome', [ours], 'unseen', 'pending'],
    ['without a policy its labels do not count', 'Open', [], 'unseen', 'granted'],
  ])('%s (%s)', (_, mode, policies, namespace, kind) => {
    expect(ask(mode, both, policies)(namespace).kind).toBe(kind);
  });

  test('of two as old, the namespace that comes first in the alphabet has it', () => {
    for (const claimants of [
      [claimant('a-b'), claimant('a')],
      [claimant('a'), claimant('a-b')],
    ]) {
      expect(ask('FirstCome', claimants, [])('a').kind).toBe('granted');
      expect(ask('FirstCome', claimants, [])('a-b').kind).toBe('denied');
    }
  });

  test('the message names the holder, or the policies, and what to do', () => {
    expect(ask('FirstCome', both, [])('payments')).toEqual({
      kind: 'denied',
      message:
        'The service name payments-api is held by namespace rates, whose ServiceRegistration rates/api is the oldest for it. Nothing of this resource is registered. Make one with another service name, or have a ServiceNamePolicy grant payments-api to both namespaces.',
    });
    expect(ask('FirstCome', both, [ours, nobodys])('rates')).toEqual({
      kind: 'denied',
      message:
        'The service name payments-api may be used only by the namespaces that ServiceNamePolicies closed, payments select, and rates is none of them. Nothing of this resource is registered. Use another service name, or ask whoever keeps the policies to let this namespace in (kubectl get snp).',
    });
  });
});

describe('names with their namespace before them', () => {
  test.each([
    ['FirstCome', 'payments', 'api', 'api', false],
    ['Open', '1', 'api', 'api', false],
    ['Prefixed', 'payments', 'api', 'payments-api', false],
    ['Prefixed', '1-payments', 'api', '1-payments-api', true],
    ['Prefixed', 'p'.repeat(61), 'api', `${'p'.repeat(61)}-api`, true],
    ['Prefixed', 'pay--ments', 'api', 'pay--ments-api', true],
  ] as const)('%s: %s, %s', (mode, namespace, name, registered, unfit) => {
    expect(registryName(mode, namespace, name)).toBe(registered);
    expect(unfitClaim(mode, namespace, name)?.kind).toBe(unfit ? 'unfit' : undefined);
  });
});

describe('a policy', () => {
  test.each([
    [['payments-api'], 'payments-api', true],
    [['payments-api'], 'payments-api-2', false],
    [['payments-*'], 'payments-api', true],
    [['payments-*'], 'payments', false],
    [['payments*'], 'payments', true],
    [['*'], 'anything', true],
    [['other', 'payments-*'], 'payments-x', true],
    [[], 'payments-api', false],
  ])('for %j matches %s: %s', (names, name, matches) => {
    expect(policyMatches(aPolicy({ names }), name)).toBe(matches);
  });

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['no metadata', {}],
    ['no UID', { metadata: { name: 'p' } }],
  ])('that is %s is no policy', (_, raw) => {
    expect(trimPolicy(raw)).toBeUndefined();
  });

  test('whose selector cannot be read guards its names and grants them to nobody', () => {
    for (const namespaces of [undefined, 'all', { matchLabels: { team: 7 } }, { matchExpressions: [{ key: 'x' }] }]) {
      const policy = trimPolicy({ metadata: { name: 'p', uid: 'u' }, spec: { names: ['payments-*', 7], namespaces } });
      expect(policy?.names).toEqual(['payments-*']);
      expect(policy === undefined ? '' : ask('Open', [], [policy])('payments').kind).toBe('denied');
    }
  });
});
