/**
 * What the leases of 5,000 nodes cost: 500 renewals a second, through the reflector, the view and the watch of nodes as in
 * production, and one look at all of them per second. In this process, without a network: only the client's own time.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock, systemRandom } from '../../src/clock.ts';
import { NodeWatch } from '../../src/controllers/node-watch.ts';
import { View } from '../../src/controllers/view.ts';
import { clusterKey } from '../../src/domain/namespace.ts';
import { type LeaseView, type NodeView, trimLease } from '../../src/domain/node.ts';
import type { ApiTransport } from '../../src/kubernetes/api-transport.ts';
import { reflect } from '../../src/kubernetes/reflector.ts';
import { collectionPath, resources } from '../../src/kubernetes/resources.ts';
import type { Bench, Figure } from './bench.ts';

const NODES = 5_000;
const RENEWALS_PER_NODE = 20;
const LOOKS = 100;
/** As several come in one piece from a busy socket. */
const EVENTS_PER_PIECE = 5;
const EVENT_US_MAX = 40;
const CORE_PERCENT_MAX = 3;

export async function measureLeaseLoad({ say, signal }: Bench) {
  const nodes = new View<NodeView>();
  const leases = new View<LeaseView>();
  const nodeSource = nodes.addSource();
  for (let index = 0; index < NODES; index += 1) {
    const name = nameOf(index);
    nodeSource.put({ key: clusterKey(name), namespace: '', name, uid: `uid-of-${name}` });
  }
  nodeSource.synced = true;
  let verdicts = 0;
  const watch = new NodeWatch({
    views: { nodes, leases },
    clock: systemClock,
    byClock: false,
    onChange: () => (verdicts += 1),
  });
  const stop = new AbortController();
  const stopped = AbortSignal.any([signal, stop.signal]);
  const quiet = () => undefined;
  const cost = { events: 0, us: 0 };
  const running = reflect<LeaseView>({
    transport: transportOf(cost, stopped),
    clock: systemClock,
    random: systemRandom,
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    resource: { path: collectionPath(resources.Lease, 'kube-node-lease'), namespace: 'kube-node-lease' },
    trim: trimLease,
    view: leases,
    // Longer than it is measured.
    relistIntervalMs: 600_000,
    signal: stopped,
  });
  while (cost.us === 0) await sleep(50, undefined, { signal });
  const begunUs = cpuUs();
  for (let look = 0; look < LOOKS; look += 1) watch.look();
  const lookUs = (cpuUs() - begunUs) / LOOKS;
  stop.abort();
  await running;
  if (verdicts > 0) throw new Error(`${verdicts} verdicts of nodes that speak`);
  const eventUs = cost.us / cost.events;
  const percent = (eventUs * (NODES / 10) + lookUs) / 10_000;
  say(`${cost.events.toLocaleString('en')} renewals, ${eventUs.toFixed(1)} us each; a look ${lookUs.toFixed(0)} us`);
  const figures: Figure[] = [
    { name: 'a renewal of a lease', value: eventUs, unit: 'us of CPU', atMost: EVENT_US_MAX },
    { name: 'a look at 5,000 nodes', value: lookUs, unit: 'us of CPU' },
    { name: 'leases of 5,000 nodes, of a core', value: percent, unit: '%', atMost: CORE_PERCENT_MAX },
  ];
  return { results: { leases: { eventUs, lookUs, percentOfACore: percent } }, figures };
}

const nameOf = (index: number): string => `ip-10-${index >> 8}-${index & 255}-17.eu-central-1.compute.internal`;

/** The initial list, and then renewals, round after round, as fast as they are taken. Fills `cost` at the end. */
const transportOf = (cost: { events: number; us: number }, signal: AbortSignal): ApiTransport => {
  const forever = () =>
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  async function* body(): AsyncGenerator<Uint8Array> {
    let version = 1_000;
    for (let index = 0; index < NODES; index += 1) yield lineOf('ADDED', index, (version += 1), 0);
    const end = {
      kind: 'Lease',
      metadata: { resourceVersion: String((version += 1)), annotations: { 'k8s.io/initial-events-end': 'true' } },
    };
    yield Buffer.from(`${JSON.stringify({ type: 'BOOKMARK', object: end })}\n`);
    const pieces: Buffer[] = [];
    for (let round = 1; round <= RENEWALS_PER_NODE; round += 1) {
      for (let index = 0; index < NODES; index += EVENTS_PER_PIECE) {
        const lines = Array.from({ length: EVENTS_PER_PIECE }, (_, i) =>
          lineOf('MODIFIED', index + i, (version += 1), round),
        );
        pieces.push(Buffer.concat(lines));
      }
    }
    const begunUs = cpuUs();
    for (const piece of pieces) yield piece;
    cost.events = pieces.length * EVENTS_PER_PIECE;
    cost.us = cpuUs() - begunUs;
    await forever();
  }
  return {
    request: forever,
    stream: async () => ({ status: 200, headers: {}, body: body() }),
  };
};

/** As kube-apiserver writes it, managed fields and owner included. */
const lineOf = (type: string, index: number, version: number, round: number): Buffer => {
  const name = nameOf(index);
  const renewTime = new Date(1_795_424_400_000 + round * 10_000 + index).toISOString().replace('Z', '123Z');
  const fields = {
    'f:metadata': { 'f:ownerReferences': { '.': {}, [`k:{"uid":"uid-of-${name}"}`]: {} } },
    'f:spec': { 'f:holderIdentity': {}, 'f:leaseDurationSeconds': {}, 'f:renewTime': {} },
  };
  const object = {
    kind: 'Lease',
    apiVersion: 'coordination.k8s.io/v1',
    metadata: {
      name,
      namespace: 'kube-node-lease',
      uid: `6f1d2c3b-4a59-4e0f-8d7c-${index.toString(16).padStart(12, '0')}`,
      resourceVersion: String(version),
      creationTimestamp: '2026-11-23T09:00:00Z',
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid: `uid-of-${name}` }],
      managedFields: [
        {
          manager: 'kubelet',
          operation: 'Update',
          apiVersion: 'coordination.k8s.io/v1',
          time: '2026-11-23T09:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: fields,
        },
      ],
    },
    spec: { holderIdentity: name, leaseDurationSeconds: 40, renewTime },
  };
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
};

const cpuUs = (): number => {
  const { user, system } = process.cpuUsage();
  return user + system;
};
