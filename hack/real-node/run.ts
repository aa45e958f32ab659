// Brings up a real node, runs a command beside it with KUBECONFIG and kubectl set, and ends it all. Without a command: a
// shell. For people and for scripts; started by hack/real-node/run.sh inside the sandbox.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startRealNode } from './node.ts';

const dir = fileURLToPath(new URL('../../.run/real-node', import.meta.url));
await rm(dir, { recursive: true, force: true });
await mkdir(dir, { recursive: true });
const started = performance.now();
const node = await startRealNode({ dir });
const { controlPlane, kubectl, name, appImage } = node;
const took = ((performance.now() - started) / 1000).toFixed(1);
process.stderr.write(`node ${name} is Ready after ${took} s; image for pods: ${appImage}; logs: ${dir}\n`);

// Ctrl-C is for the command; a shell in the foreground handles it itself.
process.on('SIGINT', () => {});
const [command = 'bash', ...args] = process.argv.slice(2);
const child = spawn(command, args, {
  stdio: 'inherit',
  env: {
    ...process.env,
    KUBECONFIG: controlPlane.kubeconfig,
    PATH: `${dirname(kubectl)}:${process.env['PATH'] ?? ''}`,
  },
});
child.on('error', ({ message }) => process.stderr.write(`${message}\n`));
await once(child, 'close');
await node.stop();
process.exitCode = child.exitCode ?? 1;
