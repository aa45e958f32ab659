/**
 * What `make up` left running, as it stands in `.run/pids.json`: who reads it can tell whether those processes still
 * live, and end exactly them. Tests do not use it: they own their processes.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { processStartTime } from './process-identity.ts';
import { waitFor } from './wait.ts';

export const runDir = fileURLToPath(new URL('../../.run', import.meta.url));
const stateFile = join(runDir, 'pids.json');

const runningProcess = z.object({ name: z.string(), pid: z.int().positive(), startTime: z.string() });
const runState = z.object({
  /** The `make up` that started it. */
  startedBy: runningProcess,
  /** False while starting, and for ever if that was interrupted. */
  complete: z.boolean(),
  apiUrl: z.string(),
  natsUrl: z.string(),
  /** Folder of kubectl and the servers. */
  binaries: z.string(),
  /** In the order of their start. */
  processes: z.array(runningProcess),
});

export type RunningProcess = Readonly<z.infer<typeof runningProcess>>;
export type RunState = Readonly<z.infer<typeof runState>>;

export function readRunState(): RunState | undefined {
  let text: string;
  try {
    text = readFileSync(stateFile, 'utf8');
  } catch {
    return undefined;
  }
  const parsed = runState.safeParse(JSON.parse(text));
  if (!parsed.success)
    throw new Error(`${stateFile} is not what \`make up\` writes:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

export function writeRunState(state: RunState): void {
  writeFileSync(`${stateFile}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${stateFile}.new`, stateFile);
}

/** Undefined for a process that ended already. */
export function identify(name: string, pid: number): RunningProcess | undefined {
  const startTime = processStartTime(pid);
  return startTime === undefined ? undefined : { name, pid, startTime };
}

/** Whether the pid still is the process that was recorded. */
export function isAlive({ pid, startTime }: RunningProcess): boolean {
  return processStartTime(pid) === startTime;
}

const politeMs = 2_000;

/** Ends a process, by force if it does not end by itself within two seconds. Returns whether there was one to end. */
export async function end(running: RunningProcess): Promise<boolean> {
  if (!isAlive(running)) return false;
  const gone = (deadlineMs: number) => waitFor(`${running.name} to end`, () => !isAlive(running), { deadlineMs });
  process.kill(running.pid, 'SIGTERM');
  process.kill(running.pid, 'SIGCONT');
  try {
    await gone(politeMs);
  } catch {
    if (isAlive(running)) process.kill(running.pid, 'SIGKILL');
    await gone(politeMs);
  }
  return true;
}

/** Ends what is recorded, the last started first; `say` is told about each. */
export async function endAll(processes: readonly RunningProcess[], say: (line: string) => void): Promise<void> {
  for (const running of processes.toReversed()) {
    const what = `${running.name} (pid ${running.pid})`;
    say((await end(running)) ? `ended ${what}` : `${what} was gone already`);
  }
}
