// The planted bugs still fit the sources: each changes what it is about, and leaves a program.

import { readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allCases } from '../../faults/cases/index.ts';
import { applyEdit } from '../../faults/planted/edit.ts';
import { plants } from '../../faults/planted/plants.ts';

const source = (file: string): string => readFileSync(join(import.meta.dirname, '../../..', file), 'utf8');

describe.each(plants)('$bug', ({ edits, caughtBy }) => {
  test('fits the sources', () => {
    const texts = new Map<string, string>();
    for (const edit of edits) texts.set(edit.file, applyEdit(texts.get(edit.file) ?? source(edit.file), edit));
    expect(texts.size).toBeGreaterThan(0);
    for (const [file, text] of texts) {
      expect(text).not.toBe(source(file));
      expect(() => stripTypeScriptTypes(text)).not.toThrow();
    }
  });

  test('has a case that is to catch it', () => {
    expect(allCases.map(({ id }) => id)).toContain(caughtBy);
  });
});

test('an edit is made in one place or not at all', () => {
  const edit = { file: 'a.ts', find: 'x', replace: 'y' };
  expect(applyEdit('axb', edit)).toBe('ayb');
  expect(() => applyEdit('ab', edit)).toThrow('no longer');
  expect(() => applyEdit('axbx', edit)).toThrow('more than once');
});
