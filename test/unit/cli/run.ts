// Runs the command line in this process and keeps what it says.

import { runProgram } from '../../../src/cli/program.ts';

export type Said = { readonly code: number; readonly out: string; readonly err: string };

export const run = async (args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Said> => {
  let out = '';
  let err = '';
  const code = await runProgram(args, {
    environment,
    print: (text) => {
      out += text;
    },
    complain: (text) => {
      err += text;
    },
    signal: new AbortController().signal,
  });
  return { code, out, err };
};
