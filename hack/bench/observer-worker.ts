/**
 * The independent eye of the latency measurement, one process with one monotonic clock: an own watch on the API server
 * tells when a pod's Ready event arrived, an own JetStream consumer when its ACTIVE key did. Knows nothing of what the
 * operator sees or says.
 */
import { readFileSync } from 'node:fs';
import { jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Client } from 'undici';
import { answerQuestions, trusted } from '../control-plane/worker-process.ts';
import { type LoopLag, watchLoop } from './loop-lag.ts';

export type Watching = {
  readonly apiUrl: string;
  readonly caFile: string;
  readonly token: string;
  readonly natsUrl: string;
  readonly bucket: string;
};
export type Expectation = { readonly pods: readonly string[]; readonly deadlineMs: number };
export type Seen = {
  /** Per pod: from its Ready event to its ACTIVE key. */
  readonly latenciesMs: readonly number[];
  /** From the first Ready event to the last: how fast the API server told them. */
  readonly eventsTookMs: number;
  /** Of this process: what of the figures may be its own. */
  readonly lag: LoopLag;
};

/** By `namespace/name`: when the event or the key arrived, ms. */
const readyAtMs = new Map<string, number>();
const activeAtMs = new Map<string, number>();
const keysOf = { total: new Set<string>() };
let changed: () => void = () => {};

answerQuestions({
  watch: (argument) => watch(trusted<Watching>(argument)),
  activeKeys: () => keysOf.total.size,
  expect: (argument) => expect(trusted<Expectation>(argument)),
  forget: () => {
    readyAtMs.clear();
    activeAtMs.clear();
  },
});

async function watch({ apiUrl, caFile, token, natsUrl, bucket }: Watching): Promise<void> {
  await consumeKeys(natsUrl, bucket);
  const client = new Client(apiUrl, { connect: { ca: readFileSync(caFile) }, bodyTimeout: 0, allowH2: false });
  const headers = { authorization: `Bearer ${token}` };
  const list = await client.request({ method: 'GET', path: '/api/v1/pods?limit=1', headers });
  const { metadata } = trusted<{ metadata: { resourceVersion: string } }>(await list.body.json());
  const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=3600&resourceVersion=${metadata.resourceVersion}`;
  const { body, statusCode } = await client.request({ method: 'GET', path: `/api/v1/pods?${query}`, headers });
  if (statusCode !== 200) throw new Error(`the watch was answered ${statusCode}`);
  let rest = '';
  body.setEncoding('utf8').on('data', (text: string) => {
    const nowMs = performance.now();
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) noteEvent(line, nowMs);
  });
}

type PodEvent = {
  readonly type: string;
  readonly object: {
    readonly metadata: { readonly namespace?: string; readonly name?: string };
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
  };
};

function noteEvent(line: string, nowMs: number): void {
  const { type, object } = trusted<PodEvent>(JSON.parse(line));
  if (type === 'BOOKMARK') return;
  const ready = object.status?.conditions?.some((one) => one.type === 'Ready' && one.status === 'True') ?? false;
  const pod = `${object.metadata.namespace}/${object.metadata.name}`;
  if (!ready || readyAtMs.has(pod)) return;
  readyAtMs.set(pod, nowMs);
  changed();
}

async function consumeKeys(natsUrl: string, bucket: string): Promise<void> {
  const nc = await connect({ servers: natsUrl, name: 'bench observer' });
  const stream = `KV_${bucket}`;
  const consumer = await jetstream(nc).consumers.getPushConsumer(stream, {
    filter_subjects: `$KV.${bucket}.service-instances.>`,
  });
  await consumer.consume({
    callback: (message) => {
      const nowMs = performance.now();
      const owner = message.headers?.get('Rollcall-Owner').split('/') ?? [];
      const pod = `${owner[1]}/${owner[2]}`;
      if (message.data.length === 0 || !message.string().includes('"status":"ACTIVE"')) {
        keysOf.total.delete(message.subject);
        return;
      }
      keysOf.total.add(message.subject);
      if (activeAtMs.has(pod) || message.headers?.get('Rollcall-Reason') === 'Refresh') return;
      activeAtMs.set(pod, nowMs);
      changed();
    },
  });
}

/** Waits until every pod's event and key have come. */
function expect({ pods, deadlineMs }: Expectation): Promise<Seen> {
  const stopWatching = watchLoop();
  const both = () => pods.filter((pod) => readyAtMs.has(pod) && activeAtMs.has(pod)).length;
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      finish();
      reject(new Error(`only ${both()} of ${pods.length} pods were seen Ready and ACTIVE in ${deadlineMs} ms`));
    }, deadlineMs);
    const finish = () => {
      clearTimeout(deadline);
      changed = () => {};
    };
    changed = () => {
      if (readyAtMs.size < pods.length || activeAtMs.size < pods.length || both() < pods.length) return;
      finish();
      const events = pods.map((pod) => readyAtMs.get(pod) ?? 0);
      resolve({
        latenciesMs: pods.map((pod, index) => (activeAtMs.get(pod) ?? 0) - (events[index] ?? 0)),
        eventsTookMs: Math.max(...events) - Math.min(...events),
        lag: stopWatching(),
      });
    };
    changed();
  });
}
