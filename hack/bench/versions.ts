/** Which servers were measured with, as their binaries say it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { toolsDir } from '../control-plane/tools.ts';

const run = promisify(execFile);

export async function serverVersions(): Promise<Readonly<Record<string, string>>> {
  const binaries = await toolsDir();
  const version = async (name: string) => {
    const { stdout } = await run(join(binaries, name), ['--version']);
    return /v?\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? stdout.trim();
  };
  const [nats, kubernetes, etcd] = await Promise.all(['nats-server', 'kube-apiserver', 'etcd'].map(version));
  return { 'nats-server': nats ?? '', 'kube-apiserver': kubernetes ?? '', etcd: etcd ?? '' };
}
