/** Starts the synthetic API server with a certificate of its own, and writes the kubeconfig that leads to it. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeKubeconfig } from '../control-plane/kubeconfig.ts';
import { startWorker } from '../control-plane/worker-process.ts';
import type { SyntheticApi } from './synthetic-api-worker.ts';

const run = promisify(execFile);

export type SyntheticApiServer = { readonly kubeconfig: string; [Symbol.asyncDispose](): Promise<void> };

export async function startSyntheticApi(dir: string, pods: number): Promise<SyntheticApiServer> {
  const [keyFile, certFile] = [join(dir, 'api.key'), join(dir, 'api.crt')];
  const subject = ['-subj', '/CN=synthetic API server', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  await run('openssl', ['req', '-x509', ...key, '-out', certFile, ...subject]);
  const worker = await startWorker(new URL('./synthetic-api-worker.ts', import.meta.url));
  try {
    const url = await worker.ask<string>('start', { pods, keyFile, certFile } satisfies SyntheticApi);
    const path = join(dir, 'synthetic.kubeconfig');
    const kubeconfig = await writeKubeconfig({ path, url, caFile: certFile, user: 'bench', token: 'none' });
    return { kubeconfig, [Symbol.asyncDispose]: () => worker.end() };
  } catch (error) {
    await worker.end();
    throw error;
  }
}
