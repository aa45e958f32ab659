/** A folder of this run's own, `.run/demo/{pid}`, so that two demos never meet; those of dead runs are swept away. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { processStartTime } from '../control-plane/process-identity.ts';

export async function makeRunDir(repository: string): Promise<string> {
  const demos = join(repository, '.run', 'demo');
  await mkdir(demos, { recursive: true });
  for (const name of await readdir(demos)) {
    const pid = Number(name);
    if (pid === process.pid || processStartTime(pid) === undefined) {
      await rm(join(demos, name), { recursive: true, force: true });
    }
  }
  const dir = join(demos, String(process.pid));
  await mkdir(join(dir, 'logs'), { recursive: true });
  return dir;
}
