/**
 * Ends our servers when this process dies, however it dies: a shell that reads which pids are ours from a pipe, and
 * kills them when the pipe closes. An exit handler would not run on kill -9, nor on Ctrl-C.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { Socket } from 'node:net';

const script = `
pids=""
while read -r change pid; do
  rest=""
  for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done
  pids=$rest
  [ "$change" = "+" ] && pids="$pids $pid"
done
[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
`;

const guardian: { shell: ChildProcess | undefined } = { shell: undefined };

export function guard(pid: number): void {
  tell(`+ ${pid}\n`);
}

export function unguard(pid: number): void {
  tell(`- ${pid}\n`);
}

function tell(line: string): void {
  guardian.shell ??= startShell();
  guardian.shell.stdin?.write(line);
}

function startShell(): ChildProcess {
  // In a session of its own, so that Ctrl-C in the terminal does not end it before it did its work.
  const shell = spawn('/bin/sh', ['-c', script], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  shell.unref();
  shell.on('error', () => {});
  shell.stdin.on('error', () => {});
  if (shell.stdin instanceof Socket) shell.stdin.unref();
  return shell;
}
