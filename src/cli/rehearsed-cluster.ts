// A cluster that is never written: what the operator would write is kept here, and resources that it would make for
// annotated workloads appear in the view, so that what follows from them can be seen.

import type { Cluster, WriteOutcome } from '../controllers/cluster.ts';
import type { ServiceRegistrationManifest } from '../domain/owned-registration.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import { type RegistrationView, trimRegistration } from '../domain/service-registration.ts';
import type { Defaults } from '../domain/settings.ts';
import { formatSeconds } from '../domain/timestamp.ts';
import type { ClusterViews } from '../kubernetes/watch-cluster.ts';

export type RehearsedCluster = Cluster & {
  /** The status that each resource would get. */
  readonly statuses: ReadonlyMap<ObjectKey, object>;
  /** Resources that would be made or changed. */
  readonly applied: ReadonlyMap<ObjectKey, ServiceRegistrationManifest>;
  /** Resources that would be deleted. */
  readonly deleted: ReadonlySet<ObjectKey>;
};

const DONE: WriteOutcome = { kind: 'done' };

export const rehearsedCluster = (views: ClusterViews, defaults: Defaults, wallMs: number): RehearsedCluster => {
  const statuses = new Map<ObjectKey, object>();
  const applied = new Map<ObjectKey, ServiceRegistrationManifest>();
  const deleted = new Set<ObjectKey>();
  const source = views.registrations.addSource();
  source.synced = true;
  source.prove(Number.MAX_VALUE);
  const show = (raw: unknown, before: RegistrationView | undefined): void => {
    const view = trimRegistration(raw, defaults);
    if (view === undefined) return;
    const { status, releaseBrake } = before ?? {};
    source.put({ ...view, status, ...(releaseBrake === undefined ? {} : { releaseBrake }) });
  };
  const apply = async (manifest: ServiceRegistrationManifest): Promise<WriteOutcome> => {
    const key = objectKey(manifest.metadata.namespace, manifest.metadata.name);
    const before = views.registrations.get(key);
    const uid = before?.uid ?? `rehearsed-${key}`;
    const creationTimestamp = formatSeconds(before?.createdAtMs ?? wallMs);
    const generation = (before?.generation ?? 0) + 1;
    applied.set(key, manifest);
    show({ ...manifest, metadata: { ...manifest.metadata, uid, creationTimestamp, generation } }, before);
    return DONE;
  };
  return {
    statuses,
    applied,
    deleted,
    async patchStatus({ namespace, name }, status) {
      statuses.set(objectKey(namespace, name), status);
      return DONE;
    },
    createOwned: apply,
    applyOwned: apply,
    patchPodCondition: async () => DONE,
    // Applied right after it, which is what counts.
    restoreOwned: async () => DONE,
    async deleteOwned({ namespace, name, uid }) {
      const key = objectKey(namespace, name);
      deleted.add(key);
      source.remove(key, uid);
      return DONE;
    },
    applyLease: async () => DONE,
    canI: async () => true,
  };
};
