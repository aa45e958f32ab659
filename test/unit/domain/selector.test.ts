// Selectors, requirement by requirement, with the meaning that Kubernetes gives them.

import { expect, test } from 'vitest';
import type { LabelSelector } from '../../../src/domain/selector.ts';
import { selects } from '../../../src/domain/selector.ts';
import { aSelector } from '../../support/builders.ts';

type Operator = LabelSelector['matchExpressions'][number]['operator'];

const requires = (key: string, operator: Operator, ...values: string[]): LabelSelector => ({
  matchLabels: {},
  matchExpressions: [{ key, operator, values }],
});

const labels = { app: 'trading', tier: 'back', empty: '' };

test.each<[string, LabelSelector, boolean]>([
  ['nothing required', aSelector(), true],
  ['an equal label', aSelector({ app: 'trading' }), true],
  ['another value', aSelector({ app: 'web' }), false],
  ['an absent label', aSelector({ zone: 'a' }), false],
  ['both of two', aSelector({ app: 'trading', tier: 'back' }), true],
  ['one of two', aSelector({ app: 'trading', tier: 'front' }), false],
  ['an empty value that is there', aSelector({ empty: '' }), true],
  ['an empty value that is absent', aSelector({ zone: '' }), false],
  ['a name every object has', aSelector({ constructor: '' }), false],
  ['In, there', requires('tier', 'In', 'front', 'back'), true],
  ['In, another', requires('tier', 'In', 'front'), false],
  ['In, absent', requires('zone', 'In', 'a'), false],
  ['In, a name every object has', requires('constructor', 'Exists'), false],
  ['NotIn, there', requires('tier', 'NotIn', 'back'), false],
  ['NotIn, another', requires('tier', 'NotIn', 'front'), true],
  ['NotIn matches what is absent', requires('zone', 'NotIn', 'a'), true],
  ['Exists', requires('tier', 'Exists'), true],
  ['Exists, empty', requires('empty', 'Exists'), true],
  ['Exists, absent', requires('zone', 'Exists'), false],
  ['DoesNotExist', requires('zone', 'DoesNotExist'), true],
  ['DoesNotExist, there', requires('tier', 'DoesNotExist'), false],
  [
    'labels and expressions together',
    { matchLabels: { app: 'trading' }, matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['back'] }] },
    false,
  ],
])('%s', (_, selector, expected) => {
  expect(selects(selector, labels)).toBe(expected);
});
