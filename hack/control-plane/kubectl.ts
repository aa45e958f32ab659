/** Runs kubectl with one kubeconfig, and with a discovery cache of its own. Sets no policy on the outcome. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';

export type KubectlResult = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

export type KubectlRun = {
  readonly binary: string;
  readonly kubeconfig: string;
  readonly cacheDir: string;
  readonly args: readonly string[];
  /** For `-f -`. */
  readonly input?: string | undefined;
};

export async function runKubectl({ binary, kubeconfig, cacheDir, args, input }: KubectlRun): Promise<KubectlResult> {
  const child = spawn(binary, ['--kubeconfig', kubeconfig, '--cache-dir', cacheDir, ...args]);
  // kubectl may end without reading its input.
  child.stdin.on('error', () => {});
  child.stdin.end(input ?? '');
  const closed = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await closed;
  return { code: child.exitCode, stdout, stderr };
}
