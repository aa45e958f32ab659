// Runs a short command to its end and gives its output; a failure carries what the command said. Not for servers.

import { execFile } from 'node:child_process';

export type Output = { readonly stdout: string; readonly stderr: string };

export const run = (command: string, args: readonly string[], input?: string): Promise<Output> =>
  new Promise((resolve, reject) => {
    const child = execFile(command, args, { maxBuffer: 16 * 1024 * 1024, timeout: 60_000 }, (error, stdout, stderr) => {
      if (error === null) resolve({ stdout, stderr });
      else reject(new Error(`${command} ${args.join(' ')}: ${stderr.trim() || error.message}`, { cause: error }));
    });
    // A command that ends without reading its input is no error: the exit code judges.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input ?? '');
  });
