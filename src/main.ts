#!/usr/bin/env node
// The front door: listens to signals before anything else is loaded, reads the command line and hands over to one command.
// What an operator is made of is `operator.ts`; how it is put together from real parts is `cli/operator-command.ts`.

const ended = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => ended.abort(name));
// Whoever reads our output may have had enough of it, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

const { runProgram } = await import('./cli/program.ts');
const onTerminal = process.stdout.isTTY && process.env['TERM'] !== 'dumb';
const code = await runProgram(process.argv.slice(2), {
  environment: process.env,
  print: (text) => void process.stdout.write(text),
  complain: (text) => void process.stderr.write(text),
  ...(onTerminal ? { terminal: process.stdout } : {}),
  signal: ended.signal,
});
process.exit(code);
