import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createLogger } from '../../../src/telemetry/logger.ts';

/** What a line holds that is logged with these fields. */
const logged = (fields: object): Record<string, unknown> => {
  let text = '';
  const to = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk);
      done();
    },
  });
  createLogger('debug', '1.2.3', to).info(fields, 'said');
  expect(text.trim().split('\n')).toHaveLength(1);
  return JSON.parse(text) as Record<string, unknown>;
};

const LONG = 'x'.repeat(300);
const CUT = `${'x'.repeat(256)}…`;

test('a line is one object with level, time, version and message', () => {
  const line = logged({ keys: 3 });
  expect(line).toMatchObject({ level: 'info', rollcall: '1.2.3', msg: 'said', keys: 3 });
  expect(Date.parse(String(line['time']))).toBeGreaterThan(0);
});

test('values are cut at 256 characters, however deep they lie', () => {
  const line = logged({ problem: LONG, problems: [LONG, 'short'], outcome: { why: LONG, of: { what: [LONG] } } });
  expect(line).toMatchObject({
    problem: CUT,
    problems: [CUT, 'short'],
    outcome: { why: CUT, of: { what: [CUT] } },
  });
});

test('lists are cut, what is no text is told as it is, and a stack is told as a whole', () => {
  const line = logged({ many: Array.from({ length: 80 }, (_, i) => i), none: null, right: true, stack: LONG });
  expect(line).toMatchObject({ none: null, right: true, stack: LONG });
  expect(line['many']).toHaveLength(50);
});
