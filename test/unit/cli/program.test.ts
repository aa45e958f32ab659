import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { createProgram } from '../../../src/cli/program.ts';
import { VERSION } from '../../../src/version.ts';
import { run } from './run.ts';

const program = createProgram({
  environment: {},
  print: () => undefined,
  complain: () => undefined,
  signal: new AbortController().signal,
});

/** Every command that does something, by the words that call it. */
const leaves = (command: Command, words: readonly string[]): readonly (readonly string[])[] =>
  command.commands
    .filter((sub) => !sub.name().startsWith('__'))
    .flatMap((sub) => {
      const below = [...words, sub.name()];
      return sub.commands.length === 0 ? [below] : leaves(sub, below);
    });

describe('wrong input', () => {
  test.each<readonly [what: string, args: readonly string[], says: string]>([
    ['a misspelt command', ['lst'], 'Did you mean'],
    ['a misspelt command of a command', ['bucket', 'chek'], 'Did you mean check?'],
    ['a misspelt flag', ['list', '--wach'], 'Did you mean --watch?'],
    ['a misspelt setting', ['bucket', 'check', '--nats-ulr=x'], 'Did you mean --nats-url?'],
    ['another format', ['list', '-o', 'tabel'], 'Allowed choices are table, json, yaml'],
    ['another shell', ['completion', 'tcsh'], 'Allowed choices are bash, zsh, fish'],
    ['a shell that is not named', ['completion'], "missing required argument 'shell'"],
    ['too many arguments', ['list', 'a', 'b'], 'too many arguments'],
    ['a value that the schema refuses', ['list', '--bucket=a.b'], '--bucket: must be 1 to 64 letters'],
    ['a file that is not there', ['list', '--config=/nowhere/rollcall.yaml'], '/nowhere/rollcall.yaml'],
  ])('%s is named, with what would be right; exit code 2', async (_what, args, says) => {
    const { code, out, err } = await run(args);
    expect(code).toBe(2);
    expect(err).toContain(says);
    expect(out).toBe('');
  });

  test('every wrong setting is told at once, with where it came from', async () => {
    const { code, err } = await run(['list', '--bucket=a.b'], { ROLLCALL_NATS_TLS_FIRST: 'perhaps' });
    expect(code).toBe(2);
    expect(err).toContain('--bucket');
    expect(err).toContain('ROLLCALL_NATS_TLS_FIRST');
  });
});

describe('help', () => {
  test.each(
    leaves(program, []).filter(([name]) => name !== 'version'),
  )('of `rollcall %s %s` has an example', async (...words) => {
    const { code, out } = await run([...words.filter((word) => word !== undefined), '--help']);
    expect(code).toBe(0);
    expect(out).toMatch(/\nExamples:\n {2}\S/);
    expect(out).toContain(`Usage: rollcall ${words.join(' ')}`.trimEnd());
  });

  test('names the variable of each setting', async () => {
    const { out } = await run(['list', '--help']);
    expect(out).toContain('--nats-creds <value>');
    expect(out).toContain('ROLLCALL_NATS_CREDS');
  });
});

test.each(['version', '--version', '-V'])('%s', async (word) => {
  expect(await run([word])).toEqual({ code: 0, out: `rollcall ${VERSION}\n`, err: '' });
});
