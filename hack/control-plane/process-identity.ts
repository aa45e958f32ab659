/** Tells whether a pid still means the process that we started: pids are used again, start times are not. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** When the process started, as opaque text to compare; undefined if there is none, or it is dead and not yet reaped. */
export function processStartTime(pid: number): string | undefined {
  return process.platform === 'linux' ? fromProc(pid) : fromPs(pid);
}

function fromProc(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field, the command in brackets, may hold spaces and brackets: count from its end. proc(5): field 3 is
  // the state, field 22 the start time in clock ticks since boot.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

function fromPs(pid: number): string | undefined {
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}
