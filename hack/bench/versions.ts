/** What a report says of where it was made: the machine, and which servers, as their binaries say it. */
import { execFile } from 'node:child_process';
import { arch, availableParallelism, cpus, loadavg, platform, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { toolsDir } from '../control-plane/tools.ts';

const run = promisify(execFile);

export type Machine = ReturnType<typeof describeMachine>;

/** Its load is that of the last minute. */
export const describeMachine = () => ({
  platform: `${platform()} ${arch()}`,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  loadAtStart: loadavg()[0] ?? 0,
});

export async function serverVersions(): Promise<Readonly<Record<string, string>>> {
  const binaries = await toolsDir();
  const version = async (name: string) => {
    const { stdout } = await run(join(binaries, name), ['--version']);
    return /v?\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? stdout.trim();
  };
  const [nats, kubernetes, etcd] = await Promise.all(['nats-server', 'kube-apiserver', 'etcd'].map(version));
  return { 'nats-server': nats ?? '', 'kube-apiserver': kubernetes ?? '', etcd: etcd ?? '' };
}
