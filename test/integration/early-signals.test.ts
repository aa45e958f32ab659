// An operator that is told to stop while it starts, at whatever moment that is.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const binary = join(import.meta.dirname, '../../bin/rollcall');
/** Nobody listens there. */
const NOWHERE = '127.0.0.1:1';
let dir: string;
let kubeconfig: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollcall-signals-'));
  kubeconfig = join(dir, 'kubeconfig');
  const context = { cluster: 'c', user: 'u' };
  await writeFile(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: `https://${NOWHERE}` } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'k', context }],
      'current-context': 'k',
    }),
  );
});

afterAll(() => rm(dir, { recursive: true, force: true }));

test.each([
  50, 100, 150, 200, 300, 1_000,
])('ends within three seconds when SIGTERM comes %d ms after the start', async (afterMs) => {
  const addresses = ['--metrics-addr=127.0.0.1:0', '--health-addr=127.0.0.1:0', `--nats-url=nats://${NOWHERE}`];
  const child = spawn(binary, ['operator', `--kubeconfig=${kubeconfig}`, ...addresses], { stdio: 'ignore' });
  const closed = once(child, 'close');
  await new Promise((resolve) => setTimeout(resolve, afterMs));
  const sentMs = performance.now();
  child.kill('SIGTERM');
  const [code, killedBy] = await closed;
  expect(performance.now() - sentMs).toBeLessThan(3_000);
  // Before anybody could listen the kernel ends it.
  expect(killedBy ?? code).toBe(killedBy === null ? 0 : 'SIGTERM');
}, 40_000);
