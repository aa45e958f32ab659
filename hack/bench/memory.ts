/**
 * The leader's memory with 10,000 keys: resident, of the whole process, after a minute of refreshing them. The pods come
 * from the synthetic API server, 10 KB each, as making so many on a real one takes minutes.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startNats } from '../control-plane/nats.ts';
import { waitFor } from '../control-plane/wait.ts';
import type { Bench, Figure } from './bench.ts';
import { startOperator } from './operator-process.ts';
import { startSyntheticApi } from './synthetic-api.ts';

const KEYS = 10_000;
const REFRESHING_MS = 60_000;
const SAMPLE_EVERY_MS = 5_000;
const RSS_MIB_MAX = 256;

export async function measureMemory({ dir, say }: Bench) {
  await using nats = await startNats({ dir: join(dir, 'nats') });
  await using api = await startSyntheticApi(dir, KEYS);
  await using operator = await startOperator({ dir, kubeconfig: api.kubeconfig, natsUrls: [nats.url] });
  await waitFor(
    'all keys',
    async () => (await operator.metric('rollcall_writes_total{reason="Registered"}')) === KEYS,
    {
      deadlineMs: 60_000,
      intervalMs: 500,
    },
  );
  const registered = await resident(operator);
  say(`${KEYS.toLocaleString('en')} keys registered: ${registered} MiB; refreshing for ${REFRESHING_MS / 1_000} s`);
  const samples: number[] = [];
  for (let waitedMs = 0; waitedMs < REFRESHING_MS; waitedMs += SAMPLE_EVERY_MS) {
    await sleep(SAMPLE_EVERY_MS);
    samples.push(await resident(operator));
  }
  const refreshes = await operator.metric('rollcall_writes_total{reason="Refresh"}');
  const least = (KEYS * (REFRESHING_MS / 10_000)) / 2;
  if (refreshes === undefined || refreshes < least) throw new Error(`only ${refreshes} refreshes in a minute`);
  say(`after ${refreshes.toLocaleString('en')} refreshes: ${samples.join(', ')} MiB`);
  // The highest: collections come and go, a limit has to hold always.
  const rssMiB10k = Math.max(registered, ...samples);
  const figures: Figure[] = [{ name: 'memory with 10,000 keys', value: rssMiB10k, unit: 'MiB', atMost: RSS_MIB_MAX }];
  return { results: { rssMiB10k }, figures };
}

async function resident(operator: Awaited<ReturnType<typeof startOperator>>): Promise<number> {
  const bytes = await operator.metric('process_resident_memory_bytes');
  if (bytes === undefined) throw new Error('the operator does not tell its memory');
  return Math.round(bytes / 2 ** 20);
}
