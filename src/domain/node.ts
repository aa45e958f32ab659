// A node, and the lease by which its kubelet says every ten seconds that it lives, as Rollcall sees them. Not the Kubernetes
// objects: `trimNode` and `trimLease` read those. What becomes of pods whose node says nothing is `node-loss.ts`.

import { clusterKey } from './namespace.ts';
import { type ObjectKey, objectKey } from './pod.ts';
import { asList, asObject, asText, asTimeMs } from './raw.ts';

export type NodeView = {
  readonly key: ObjectKey;
  /** Always empty: a node is in none. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /**
   * ms since the epoch, by the clock of the controller manager: since when the node's Ready is Unknown, because its kubelet
   * was not heard. Absent: it is not; what else Ready says is the kubelet's own word.
   */
  readonly unknownSinceMs?: number;
};

export type LeaseView = {
  readonly key: ObjectKey;
  readonly namespace: string;
  /** The node's. */
  readonly name: string;
  readonly uid: string;
  /** By the node's clock, so it is compared with itself alone: another text is a sign of life. */
  readonly renewTime: string;
};

/** Undefined for what has no UID or name; never throws. */
export const trimNode = (raw: unknown): NodeView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  if (uid === undefined || name === undefined) return undefined;
  const conditions = asList(asObject(object?.['status'])?.['conditions']).map(asObject);
  const ready = conditions.find((condition) => condition?.['type'] === 'Ready');
  const isUnknown = ready?.['status'] === 'Unknown';
  return {
    key: clusterKey(name),
    namespace: '',
    name,
    uid,
    ...(isUnknown ? { unknownSinceMs: asTimeMs(ready['lastTransitionTime']) ?? 0 } : {}),
  };
};

/** Undefined also for a lease that nobody ever renewed: by it nothing can be judged. Never throws. */
export const trimLease = (raw: unknown): LeaseView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  const namespace = asText(metadata?.['namespace']);
  const renewTime = asText(asObject(object?.['spec'])?.['renewTime']);
  if (uid === undefined || name === undefined || namespace === undefined || renewTime === undefined) return undefined;
  return { key: objectKey(namespace, name), namespace, name, uid, renewTime };
};
