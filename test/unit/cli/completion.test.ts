import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { completionText, SHELLS } from '../../../src/cli/completion.ts';
import { run } from './run.ts';

const candidates = async (...words: readonly string[]): Promise<readonly string[]> => {
  const { out } = await run(['__complete', '--', ...words]);
  const lines = out.trimEnd().split('\n');
  expect(lines.at(-1)).toBe(':4');
  return lines.slice(0, -1).map((line) => line.split('\t')[0] ?? '');
};

describe('what may come next', () => {
  test.each<readonly [line: string, words: readonly string[], expected: readonly string[]]>([
    ['rollcall b', ['b'], ['bucket']],
    ['rollcall bucket ', ['bucket', ''], ['check', 'ensure']],
    ['rollcall bucket e', ['bucket', 'e'], ['ensure']],
    ['rollcall list --o', ['list', '--o'], ['--output']],
    ['rollcall ls --w', ['ls', '--w'], ['--watch']],
    ['rollcall list -o ', ['list', '-o', ''], ['table', 'json', 'yaml']],
    ['rollcall list --output j', ['list', '--output', 'j'], ['json']],
    ['rollcall list --output=y', ['list', '--output=y'], ['--output=yaml']],
    [
      'rollcall list -o json --nats-c',
      ['list', '-o', 'json', '--nats-c'],
      ['--nats-creds', '--nats-ca', '--nats-cert'],
    ],
    ['rollcall list --nats-url ', ['list', '--nats-url', ''], []],
    ['rollcall completion ', ['completion', ''], [...SHELLS]],
    ['rollcall completion bash ', ['completion', 'bash', ''], []],
    ['rollcall __', ['__'], []],
  ])('%s', async (_line, words, expected) => {
    expect(await candidates(...words)).toEqual(expected);
  });

  test('all commands come with what they are for', async () => {
    const { out } = await run(['__complete', '--', '']);
    for (const line of out.trimEnd().split('\n').slice(0, -1)) expect(line).toMatch(/^[a-z]+\t\S.+/);
  });
});

test('the script for bash does what it should in a bash', () => {
  const script = `
    rollcall() { printf '%s\\n' "\${@:3}" >&2; printf 'list\\tList what stands\\nlog\\tno\\n:4\\n'; }
    ${completionText('bash')}
    COMP_WORDS=(rollcall l) COMP_CWORD=1
    _rollcall
    printf '%s,' "\${COMPREPLY[@]}"`;
  const { stdout, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stdout).toBe('list,log,');
});

test.each([
  ['bash', /^complete .* rollcall$/m],
  ['zsh', /^#compdef rollcall\n/],
  ['fish', /^complete -c rollcall /m],
])('`completion %s` prints what makes that shell ask', async (shell, binding) => {
  const { code, out, err } = await run(['completion', shell]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(binding);
});

test.each(SHELLS)('there is a script for %s, and it asks the program', (shell) => {
  expect(completionText(shell)).toContain('rollcall __complete --');
});
