/** The operator as people run it, `bin/rollcall operator`, in a process of its own, with its health and its metrics. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { request } from 'undici';
import { freePort } from '../control-plane/free-port.ts';
import { OwnedProcess } from '../control-plane/owned-process.ts';
import { waitFor } from '../control-plane/wait.ts';

const command = fileURLToPath(new URL('../../bin/rollcall', import.meta.url));

export type OperatorOptions = {
  readonly dir: string;
  readonly kubeconfig: string;
  readonly natsUrls: readonly string[];
  readonly args?: readonly string[];
};

export type OperatorProcess = {
  /** From the spawn to the first 200 of /readyz. */
  readonly startMs: number;
  /** The value of a metric, named with its labels as the scrape shows them; undefined while there is none. */
  metric(name: string): Promise<number | undefined>;
  [Symbol.asyncDispose](): Promise<void>;
};

export async function startOperator({
  dir,
  kubeconfig,
  natsUrls,
  args = [],
}: OperatorOptions): Promise<OperatorProcess> {
  const [health, metrics] = [await freePort(), await freePort()];
  const spawnedAtMs = performance.now();
  const operator = await OwnedProcess.start({
    name: 'operator',
    command,
    args: [
      'operator',
      `--kubeconfig=${kubeconfig}`,
      `--nats-url=${natsUrls.join(',')}`,
      `--health-addr=127.0.0.1:${health}`,
      `--metrics-addr=127.0.0.1:${metrics}`,
      ...args,
    ],
    logFile: join(dir, 'operator.log'),
    readyDeadlineMs: 60_000,
  });
  try {
    await waitFor(
      'the operator to be ready',
      async () => (await get(`http://127.0.0.1:${health}/readyz`)).status === 200,
      {
        deadlineMs: 60_000,
        intervalMs: 10,
      },
    );
  } catch (error) {
    await operator.kill('SIGKILL');
    throw new Error(`the operator did not get ready; its log ends:\n${operator.logTail()}`, { cause: error });
  }
  const startMs = performance.now() - spawnedAtMs;
  return {
    startMs,
    metric: async (name) => {
      const { text } = await get(`http://127.0.0.1:${metrics}/metrics`);
      const found = new RegExp(`^${escaped(name)} (\\S+)$`, 'm').exec(text)?.[1];
      return found === undefined ? undefined : Number(found);
    },
    [Symbol.asyncDispose]: () => operator.stop(5_000),
  };
}

async function get(url: string): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(url, { headersTimeout: 5_000 });
  return { status: statusCode, text: await body.text() };
}

const escaped = (text: string): string => text.replace(/[{}"]/g, '\\$&');
