// What a person sees of a reason with kubectl, while it stands: `describe` shows it with a sentence, `wait` meets the
// condition's status, and `get` has it in the column STATUS with its message at the wide end. Asks real kubectl.

import { expect } from 'vitest';
import type { Condition, Stage } from './stage.ts';

/** Some words and a full stop: what is, or what to do. */
const SENTENCE = /^\S+( \S+){2,}.*\.$/s;

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ');

/** Reasons that `limits.test.ts` brings about and shows; all others are `status.test.ts`'s. */
export const SHOWN_WITH_LIMITS: ReadonlySet<string> = new Set([
  'Degraded True BudgetStretched',
  'Degraded True ClockSkew',
]);

export const expectShown = async (
  stage: Stage,
  namespace: string,
  name: string,
  { type, status, reason, message }: Condition,
): Promise<void> => {
  const kubectl = (...args: readonly string[]) => stage.cluster.kubectlOk(['-n', namespace, ...args]);
  const [described, waited, listed] = await Promise.all([
    kubectl('describe', 'sreg', name),
    kubectl('wait', `--for=condition=${type}=${status}`, '--timeout=10s', `sreg/${name}`),
    kubectl('get', 'sreg', name, '-o', 'wide'),
  ]);
  expect(message).toMatch(SENTENCE);
  // The fields of a condition in the order of their names.
  const shown = oneLine(described.split(/^ {2}Conditions:$/m)[1] ?? '');
  expect(shown).toMatch(new RegExp(`Message: [^:]*?.*? Reason: ${reason} Status: ${status} Type: ${type}( |$)`));
  expect(shown).toContain(`Message: ${oneLine(message)}`);
  expect(waited).toContain('condition met');
  const [head = '', line = ''] = listed.split('\n');
  expect(head.split(/ {2,}/)).toEqual([
    ...['NAME', 'SERVICE', 'READY', 'ACTIVE', 'TTL', 'STATUS', 'AGE', 'STICKY', 'LAYOUT', 'MESSAGE'],
  ]);
  if (type !== 'Ready') return;
  expect(line.slice(head.indexOf('STATUS'), head.indexOf('AGE')).trim()).toBe(reason);
  expect(oneLine(line.slice(head.indexOf('MESSAGE')))).toBe(oneLine(message));
};
