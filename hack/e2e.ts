// `make e2e`: tells the end-to-end stories on real kubelets: with kind where a Docker engine answers, else on a real node
// in a sandbox of this machine, else says what is missing (exit code 3). Exit code 0 when every verdict is a pass.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { toolsDir } from './control-plane/tools.ts';
import { run } from './real-node/command.ts';

const cannotRun = 3;
const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

const answers = (command: string, ...args: readonly string[]): Promise<boolean> =>
  run(command, args).then(
    () => true,
    () => false,
  );

/** Runs it in the foreground; a signal that ends it counts as a failure. */
const foreground = async (command: string, ...args: readonly string[]): Promise<number> => {
  const child = spawn(command, args, { stdio: 'inherit' });
  const [code]: unknown[] = await once(child, 'close');
  return typeof code === 'number' ? code : 1;
};

const onKind = async (): Promise<number> => {
  process.stderr.write('e2e: a Docker engine answers: using kind\n');
  const existed = await answers(pathOf('kind-up.sh'), '--exists');
  for (const step of ['kind-up.sh', 'kind-load.sh', 'kind-e2e.sh']) {
    const code = await foreground(pathOf(step));
    if (code === 0) continue;
    process.stderr.write(`e2e: hack/${step} ended with exit code ${code}; the cluster stays (hack/kind-down.sh)\n`);
    return code;
  }
  // A cluster that somebody had before is theirs to end.
  return existed ? 0 : foreground(pathOf('kind-down.sh'));
};

const onRealNode = async (): Promise<number> => {
  process.stderr.write('e2e: no Docker engine with kind: using a real node on this machine\n');
  // Before the tools, which take minutes to build.
  const able = await foreground(pathOf('real-node/sandbox.sh'), 'true');
  if (able !== 0) return able;
  // Outside: the sandbox has no way out to fetch modules.
  await toolsDir({ kubelet: true });
  return foreground(pathOf('real-node/sandbox.sh'), process.execPath, pathOf('../test/e2e/on-real-node.ts'));
};

// Ctrl-C goes to the child in front as well, which ends in its own order; this waits for it.
process.on('SIGINT', () => {});
const docker = await answers('docker', 'info');
const kind = docker && (await answers('kind', 'version')) && (await answers('kubectl', 'version', '--client'));
const code = await (kind ? onKind() : onRealNode());
if (code === cannotRun) {
  const engine = docker ? 'kind and kubectl beside the Docker engine' : 'a Docker engine with kind and kubectl';
  process.stderr.write(`e2e: needs ${engine}, or root on Linux for a real node; what is missing stands above\n`);
}
process.exitCode = code;
