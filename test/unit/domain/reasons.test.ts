// The words that the code can say, against the closed list. What was really said, against a real API server, is judged at
// the end of `make test`.

import { expect, test } from 'vitest';
import { CONDITION_REASONS } from '../../../src/domain/crd-status-schema.ts';
import { EVENT_REASONS } from '../../../src/domain/event-reasons.ts';
import { judgeWords, laterWords, listedWords, wordsOf } from '../../support/reason-list.ts';

const sayable = wordsOf(CONDITION_REASONS, Object.keys(EVENT_REASONS));

test('the code can say the words of the list, and no others', () => {
  expect(judgeWords(sayable)).toEqual([]);
});

test('a word too many, a word too few and a word too early are each found', () => {
  const [first = '', ...others] = sayable;
  expect(judgeWords(new Set(others))).toEqual([`"${first}" is in the list, and nothing said it`]);
  expect(judgeWords(new Set([...sayable, 'Event Whatever']))).toEqual([
    `"Event Whatever" is said, and is not in the list`,
  ]);
  expect(judgeWords(sayable, new Set([first]))).toEqual([`"${first}" is said, and is in the list for later`]);
  expect([...laterWords].filter((word) => !listedWords.has(word))).toEqual([]);
});
