// Explanations as text for people: one in full, or several as a list with the deciding rule of each.

import { styleText } from 'node:util';
import type { Explanation } from './explanation.ts';

/** One pod in full. */
export const explanationLines = (explanation: Explanation): readonly string[] => {
  const { pod, registered, decidedBy, because, advice, rules, keys } = explanation;
  const width = Math.max(0, ...rules.map(({ rule }) => rule.length));
  return [
    `pod ${pod} ${registered ? styleText('green', 'is registered') : styleText(['red', 'bold'], 'is not registered')}`,
    `  because  ${because}  (${decidedBy})`,
    ...(registered || advice === undefined ? [] : [`  do       ${advice}`]),
    '',
    'The rules, in the order in which they were asked:',
    ...rules.map(
      ({ rule, passed, says }) =>
        `  ${passed ? styleText('green', 'yes') : styleText('red', 'no ')}  ${rule.padEnd(width + 2)}${says}`,
    ),
    ...(keys.length === 0 ? [] : ['', 'In the bucket:']),
    ...keys.map(({ key, stands }) => `  ${key}\n    ${stands}`),
  ];
};

/** Several pods, a line each. */
export const overviewLines = (explanations: readonly Explanation[]): readonly string[] => {
  const width = Math.max(0, ...explanations.map(({ pod }) => pod.length));
  const rules = Math.max(0, ...explanations.map(({ decidedBy }) => decidedBy.length));
  const registered = explanations.filter((explanation) => explanation.registered).length;
  return [
    ...explanations.map(
      (explanation) =>
        `${explanation.registered ? styleText('green', 'yes') : styleText('red', 'no ')}  ${explanation.pod.padEnd(width + 2)}${explanation.decidedBy.padEnd(rules + 2)}${explanation.because}`,
    ),
    '',
    `${registered} of ${explanations.length} pods registered. \`rollcall explain pod/NAME\` shows every rule.`,
  ];
};
