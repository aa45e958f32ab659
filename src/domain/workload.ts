// A workload (Deployment, StatefulSet, DaemonSet) or ReplicaSet as Rollcall sees it: its annotations and whom it owns.
// Not the Kubernetes object: `trimWorkload` reads that.

import type { Interner } from './intern.ts';
import { type ControllerRef, type ObjectKey, objectKey } from './pod.ts';
import { annotationStem, asList, asObject, asText, asTimeMs, controllerOf, textRecord } from './raw.ts';
import { type LabelSelector, readSelector } from './selector.ts';

export type WorkloadKind = 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'ReplicaSet';

export type WorkloadView = {
  readonly key: ObjectKey;
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly createdAtMs: number;
  readonly deleting: boolean;
  /** It is deleted, and what it owns is to stay without an owner (`kubectl delete --cascade=orphan`). */
  readonly orphans?: true;
  readonly labels: Readonly<Record<string, string>>;
  readonly selector: LabelSelector;
  /** Our annotations, prefix cut: those of the workload's metadata over those of its pod template. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly controller?: ControllerRef;
};

/** Undefined for what has no UID, name or namespace; never throws. */
export const trimWorkload = (
  kind: WorkloadKind,
  raw: unknown,
  annotationPrefix: string,
  interner: Interner,
): WorkloadView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  const namespace = asText(metadata?.['namespace']);
  if (metadata === undefined || uid === undefined || name === undefined || namespace === undefined) return undefined;
  const spec = asObject(object?.['spec']);
  const template = asObject(asObject(spec?.['template'])?.['metadata']);
  const controller = controllerOf(metadata, interner);
  const annotations = { ...asObject(template?.['annotations']), ...asObject(metadata['annotations']) };
  return {
    key: objectKey(namespace, name),
    kind,
    namespace: interner.text(namespace),
    name,
    uid,
    createdAtMs: asTimeMs(metadata['creationTimestamp']) ?? 0,
    deleting: asText(metadata['deletionTimestamp']) !== undefined,
    ...(asList(metadata['finalizers']).includes('orphan') ? { orphans: true } : {}),
    labels: textRecord(metadata['labels'], interner),
    selector: readSelector(spec?.['selector']),
    annotations: textRecord(annotations, interner, annotationStem(annotationPrefix)),
    ...(controller === undefined ? {} : { controller }),
  };
};
