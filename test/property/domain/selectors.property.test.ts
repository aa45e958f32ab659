// Selectors against the definition, written as plainly as it can be; and that readers of odd ones never select more.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readSelector, selects } from '../../../src/domain/selector.ts';
import { anyText, labels } from './arbitraries.ts';

const requirement = fc.record({
  key: fc.constantFrom('app', 'tier', 'zone', 'constructor', '__proto__'),
  operator: fc.constantFrom('In' as const, 'NotIn' as const, 'Exists' as const, 'DoesNotExist' as const),
  values: fc.array(fc.constantFrom('', 'a', 'b'), { maxLength: 3 }),
});
const selector = fc.record({ matchLabels: labels, matchExpressions: fc.array(requirement, { maxLength: 3 }) });

test('a selector selects as the definition says', () => {
  fc.assert(
    fc.property(selector, labels, (some, pod) => {
      const have = new Map(Object.entries(pod));
      const expected =
        Object.entries(some.matchLabels).every(([key, value]) => have.get(key) === value) &&
        some.matchExpressions.every(({ key, operator, values }) => {
          const value = have.get(key);
          if (operator === 'In') return value !== undefined && values.includes(value);
          if (operator === 'NotIn') return !(value !== undefined && values.includes(value));
          return (operator === 'Exists') === have.has(key);
        });
      expect(selects(some, pod)).toBe(expected);
      expect(selects(readSelector(some), pod)).toBe(expected);
    }),
    { numRuns: 1000 },
  );
});

test('one more requirement never selects more', () => {
  fc.assert(
    fc.property(selector, requirement, labels, (some, more, pod) => {
      const narrower = { ...some, matchExpressions: [...some.matchExpressions, more] };
      if (selects(narrower, pod)) expect(selects(some, pod)).toBe(true);
    }),
  );
});

test('a selector that cannot be read in part selects nothing', () => {
  const operator = anyText.filter((text) => !['In', 'NotIn', 'Exists', 'DoesNotExist'].includes(text));
  fc.assert(
    fc.property(selector, operator, labels, (some, odd, pod) => {
      const broken = { ...some, matchExpressions: [...some.matchExpressions, { key: 'app', operator: odd }] };
      expect(selects(readSelector(broken), pod)).toBe(false);
    }),
  );
  fc.assert(
    fc.property(fc.anything(), labels, (raw, pod) => {
      expect(typeof selects(readSelector(raw), pod)).toBe('boolean');
    }),
  );
});
