/** How long the operator takes from its start to /readyz, beside a real API server with fifty pods. */
import { join } from 'node:path';
import { startNats } from '../control-plane/nats.ts';
import type { Bench, Figure } from './bench.ts';
import { startOperator } from './operator-process.ts';
import { createPods, setAllReady, startCluster } from './pods.ts';
import { median } from './statistics.ts';

const PODS = 50;
const RUNS = 5;
const START_MS_MAX = 3_000;

export async function measureStart({ dir, say }: Bench) {
  await using cluster = await startCluster(join(dir, 'cluster'));
  await using nats = await startNats({ dir: join(dir, 'nats') });
  await setAllReady(cluster.api(), await createPods(cluster.api(), 'small', PODS), true);
  const runs: number[] = [];
  for (let run = 0; run < RUNS; run += 1) {
    await using operator = await startOperator({ dir, kubeconfig: cluster.kubeconfig, natsUrls: [nats.url] });
    runs.push(Math.round(operator.startMs));
  }
  say(`starts: ${runs.join(', ')} ms`);
  const startMs = median(runs);
  const figures: Figure[] = [{ name: 'start to ready', value: startMs, unit: 'ms', atMost: START_MS_MAX }];
  return { results: { startMs }, figures };
}
