/**
 * How fast the writer refreshes, and what it costs, against a bare loop that sends the same batches from ready bytes.
 * Both run in one measurement against one server, window by window in turn, because a shared machine is never equally
 * fast for long: the ratio of a window to its two neighbours says more than either figure.
 */
import { join } from 'node:path';
import { startNats } from '../control-plane/nats.ts';
import { startWorker } from '../control-plane/worker-process.ts';
import type { Bench, Figure } from './bench.ts';
import type { Window } from './refresh-load.ts';
import { median, percentile, round } from './statistics.ts';

const ROUNDS = 14;
/** Short, so that neighbours meet the same machine; the writer, which waits meanwhile, gives up after 4 s. */
const WINDOW_MS = 1_000;
const KEYS_PER_SECOND_MIN = 20_000;
const RATIO_MIN = 0.8;

export type Throughput = {
  readonly keysPerSecond: number;
  readonly cpuMsPer1000: number;
  readonly ackP50Ms: number;
  readonly ackP99Ms: number;
};

export async function measureFenced({ dir, say }: Bench) {
  await using nats = await startNats({ dir: join(dir, 'nats') });
  await using bareWorker = await startWorker(new URL('./bare-worker.ts', import.meta.url));
  await using fencedWorker = await startWorker(new URL('./fenced-worker.ts', import.meta.url));
  await bareWorker.ask('start', { url: nats.url, bucket: 'bare' });
  await fencedWorker.ask('start', { url: nats.url, bucket: 'fenced' });
  const bareWindow = () => bareWorker.ask<Window>('window', WINDOW_MS);
  const fencedWindow = () => fencedWorker.ask<Window>('window', WINDOW_MS);
  // The first of each warms the compilers up.
  await bareWindow();
  await fencedWindow();
  const bareWindows = [await bareWindow()];
  const fencedWindows: Window[] = [];
  const ratios: number[] = [];
  for (let index = 1; index <= ROUNDS; index += 1) {
    const before = bareWindows.at(-1);
    const between = await fencedWindow();
    const after = await bareWindow();
    if (before === undefined) throw new RangeError('no window before');
    fencedWindows.push(between);
    bareWindows.push(after);
    ratios.push((2 * rate(between)) / (rate(before) + rate(after)));
    const [a, b] = [between, after].map((one) => Math.round(rate(one)).toLocaleString('en'));
    say(`window ${index} of ${ROUNDS}: fenced ${a} keys/s, bare ${b} keys/s`);
  }
  const fenced = summary(fencedWindows);
  const bare = summary(bareWindows);
  const ratio = round(median(ratios));
  const figures: Figure[] = [
    { name: 'fenced refresh', value: fenced.keysPerSecond, unit: 'keys/s', atLeast: KEYS_PER_SECOND_MIN },
    { name: 'bare loop', value: bare.keysPerSecond, unit: 'keys/s' },
    { name: 'fenced / bare', value: ratio, unit: '', atLeast: RATIO_MIN },
    { name: 'fenced client CPU per 1,000 keys', value: fenced.cpuMsPer1000, unit: 'ms' },
    { name: 'bare client CPU per 1,000 keys', value: bare.cpuMsPer1000, unit: 'ms' },
    { name: 'fenced ack p50', value: fenced.ackP50Ms, unit: 'ms' },
    { name: 'fenced ack p99', value: fenced.ackP99Ms, unit: 'ms' },
  ];
  return { results: { fenced: { ...fenced, ratio }, bare }, figures };
}

const rate = ({ keys, ms }: Window): number => (keys * 1_000) / ms;

function summary(windows: readonly Window[]): Throughput {
  const acks = windows.flatMap(({ acksMs }) => acksMs);
  return {
    keysPerSecond: Math.round(median(windows.map(rate))),
    cpuMsPer1000: round(median(windows.map(({ cpuMs, keys }) => (cpuMs * 1_000) / keys))),
    ackP50Ms: round(percentile(acks, 0.5)),
    ackP99Ms: round(percentile(acks, 0.99)),
  };
}
