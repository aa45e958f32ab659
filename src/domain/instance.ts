// What the registry should hold for one pod under one service: the content of its key, apart from the heartbeat.
// Pure data; `service-instance.ts` turns it into the bytes readers see.

import type { SpecDefaults } from './crd-schema.ts';
import type { KeyLayout } from './names.ts';
import type { ObjectKey } from './pod.ts';
import type { ApiOutage, NodeLossMode, WhenNotReady } from './settings.ts';

/** `service-instances.{serviceName}.{instanceId}` or another form of it: a KV key, without the bucket's subject prefix. */
export type InstanceKey = string & { readonly brand: 'InstanceKey' };

export type InstanceStatus = 'ACTIVE' | 'UNHEALTHY' | 'STANDBY';

/** The pod incarnation a key belongs to. */
export type PodRef = { readonly namespace: string; readonly name: string; readonly uid: string };

/** Everything in the value but `instanceId`, `status` and `lastHeartbeat`. */
export type InstanceContent = {
  readonly serviceName: string;
  readonly version: string;
  readonly stickyActiveGroup: string | null;
  /** In the order they are written; reserved keys first. Without `stickyTerm`, which is the role's. */
  readonly metadata: Readonly<Record<string, string | number>>;
};

/**
 * What one registration wants for one pod.
 * `live`: the pod is Ready; its key stands and is refreshed.
 * `away`: the pod is selected but not Ready, or leaves; a key that stands is treated per `whenNotReady`, none is made.
 */
export type Wish = {
  readonly pod: PodRef;
  readonly registration: ObjectKey;
  readonly serviceName: string;
  readonly instanceIdMode: 'Generated' | 'PodName';
  readonly keyLayout: KeyLayout;
  readonly whenNotReady: WhenNotReady;
  readonly adopt: boolean;
  readonly apiOutage: ApiOutage;
  readonly nodeLoss: NodeLossMode;
  readonly ttlMs: number;
  readonly intervalMs: number;
  readonly content: InstanceContent;
  /**
   * What the pod's own annotations say, the last good word of each that is no good: kept for the next wish. Absent:
   * nothing.
   */
  readonly annotated?: SpecDefaults;
  /** Said when `content.version` is not what its source said. */
  readonly versionNote?: string;
  readonly state: { readonly kind: 'live' } | { readonly kind: 'away'; readonly reason: AwayReason };
  /**
   * For so long a pod that is no longer Ready keeps the key it has, and when it ceased to be Ready, in ms since the epoch,
   * where that is known. Absent: at once.
   */
  readonly grace?: { readonly ms: number; readonly notReadySinceMs?: number };
  /** ms since the epoch; orders two pods that want the same instance id: the older has it. */
  readonly podCreatedAtMs: number;
  /** ms since the epoch; of a sticky group the pod that has been Ready longest succeeds. Infinity: not known to be. */
  readonly readySinceMs: number;
};

export type AwayReason = 'PodNotReady' | 'NodeSilent' | 'Terminating' | 'Suspended' | 'Deselected';

/** The pod may be Ready again. */
export const isUnready = (reason: AwayReason): boolean => reason === 'PodNotReady' || reason === 'NodeSilent';
