/**
 * The keys that the throughput measurements refresh, the same for both sides: what the fenced side's table wishes for
 * is what the bare side encodes beforehand. About 330 bytes a value, as real ones are.
 */
import type { Wish } from '../../src/domain/instance.ts';
import { instanceKey, podNameInstanceId } from '../../src/domain/names.ts';
import { objectKey } from '../../src/domain/pod.ts';
import { encodeInstance } from '../../src/domain/service-instance.ts';

export const OPERATOR_ID = 'bench';
/** A pass over all of them takes longer than the second after which a key is due again, also at 50,000 keys/s. */
export const REFRESHED_KEYS = 60_000;
const SERVICES = 50;

export type Load = { readonly wish: Wish; readonly instanceId: string; readonly key: string; readonly body: string };

export type Window = {
  readonly keys: number;
  readonly ms: number;
  readonly cpuMs: number;
  /** From the first byte of a batch to its acknowledgement, of each batch. */
  readonly acksMs: readonly number[];
};

/** @param intervalMs of the wishes: so short that every key is due again before its turn comes */
export function refreshLoad(intervalMs: number, heartbeat: string): Load[] {
  return Array.from({ length: REFRESHED_KEYS }, (_, index) => {
    const wish = wishOf(index, intervalMs);
    const instanceId = podNameInstanceId(wish.pod.name);
    const key = instanceKey(wish.serviceName, instanceId);
    if (key === undefined) throw new Error(`no key for ${wish.pod.name}`);
    const { head, tail } = encodeInstance(wish.content, instanceId, 'ACTIVE');
    return { wish, instanceId, key, body: head + heartbeat + tail };
  });
}

function wishOf(index: number, intervalMs: number): Wish {
  const serviceName = `trading-service-${index % SERVICES}`;
  const namespace = `team-${index % 10}`;
  const name = `trading-service-${index % SERVICES}-7c9f6d5b4c-${index.toString(36).padStart(5, '0')}`;
  return {
    pod: { namespace, name, uid: `6f1d2c3b-4a59-4e0f-8d7c-${index.toString(16).padStart(12, '0')}` },
    registration: objectKey(namespace, serviceName),
    serviceName,
    instanceIdMode: 'PodName',
    keyLayout: 'Dotted',
    whenNotReady: 'MarkUnhealthy',
    adopt: false,
    apiOutage: { mode: 'Hold', maxHoldSeconds: 300 },
    nodeLoss: 'NodeLease',
    ttlMs: 30_000,
    intervalMs,
    content: {
      serviceName,
      version: '1.4.2',
      stickyActiveGroup: null,
      metadata: {
        start_time: '2026-11-23T17:00:01.000+08:00',
        namespace,
        pod: name,
        node: `node-${index % 100}`,
        ip: `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
        port: 8080,
      },
    },
    state: { kind: 'live' },
    podCreatedAtMs: 1_795_424_400_000,
    readySinceMs: 1_795_424_400_000,
  };
}
