// A pod as Rollcall sees it: the few fields that decide about its key. Not the Kubernetes object: `trimPod` is the
// one place that reads that, and everything behind it trusts these types.

import type { Interner } from './intern.ts';
import { gateCondition, type PodGate, podReadiness } from './pod-readiness.ts';
import {
  annotationStem,
  asList,
  asObject,
  asText,
  asTimeMs,
  type ControllerRef,
  controllerOf,
  sharedRecord,
  textRecord,
} from './raw.ts';

export type { ControllerRef };

/** `namespace/name`; names a pod (or any namespaced object) but not an incarnation of it: that is the UID. */
export type ObjectKey = string & { readonly brand: 'ObjectKey' };

export const objectKey = (namespace: string, name: string): ObjectKey => `${namespace}/${name}` as ObjectKey;

/** Empty for objects of the cluster. */
export const namespaceOf = (key: ObjectKey): string => key.slice(0, key.indexOf('/'));

export type ContainerPort = { readonly name?: string; readonly port: number };

export type ContainerView = {
  readonly name: string;
  readonly image: string;
  readonly ports: readonly ContainerPort[];
};

export type PodView = {
  readonly key: ObjectKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** ms since the epoch. */
  readonly createdAtMs: number;
  /** ms since the epoch; `status.startTime`, absent until the kubelet has seen the pod. */
  readonly startedAtMs?: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Only the annotations under our prefix, with the prefix cut: `register`, `version`, ... */
  readonly annotations: Readonly<Record<string, string>>;
  /**
   * The annotations by their full name whose value begins like a version (`1`, `v2.0`; at most 48 characters), for
   * `version.fromAnnotation`. Not all of them: annotations are most of a pod's bytes, and a network plug-in's differ
   * from pod to pod.
   */
  readonly versionAnnotations?: Readonly<Record<string, string>>;
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  /** Ready but for us (`pod-readiness.ts`). Says nothing about deletion. */
  readonly ready: boolean;
  /** Not Ready by the word of the node controller alone, which does not hear its node. */
  readonly unreadyByNode?: true;
  /** ms since the epoch; when `ready` last changed. */
  readonly readyChangedAtMs?: number;
  /** Absent: the pod does not list our readiness gate. */
  readonly gate?: PodGate;
  /** deletionTimestamp is set. */
  readonly deleting: boolean;
  readonly node?: string;
  readonly ip?: string;
  /** The containers proper, without init and ephemeral ones, in the order of the spec. */
  readonly containers: readonly ContainerView[];
  readonly controller?: ControllerRef;
};

/** Undefined for what has no UID, name or namespace; never throws, whatever else is missing or odd. */
export const trimPod = (raw: unknown, annotationPrefix: string, interner: Interner): PodView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  const namespace = asText(metadata?.['namespace']);
  if (metadata === undefined || uid === undefined || name === undefined || namespace === undefined) return undefined;
  const spec = asObject(object?.['spec']) ?? {};
  const status = asObject(object?.['status']) ?? {};
  const startedAtMs = asTimeMs(status['startTime']);
  const versionAnnotations = versionLikeAnnotations(metadata['annotations'], interner);
  const node = asText(spec['nodeName']);
  const ip = asText(status['podIP']);
  const controller = controllerOf(metadata, interner);
  return {
    key: objectKey(namespace, name),
    namespace: interner.text(namespace),
    name,
    uid,
    createdAtMs: asTimeMs(metadata['creationTimestamp']) ?? 0,
    labels: textRecord(metadata['labels'], interner),
    annotations: textRecord(metadata['annotations'], interner, annotationStem(annotationPrefix)),
    phase: phaseOf(status['phase']),
    ...podReadiness(spec, status, gateCondition(annotationPrefix)),
    deleting: asText(metadata['deletionTimestamp']) !== undefined,
    containers: containersOf(spec['containers'], interner),
    ...(startedAtMs === undefined ? {} : { startedAtMs }),
    ...(versionAnnotations === undefined ? {} : { versionAnnotations }),
    ...(node === undefined ? {} : { node: interner.text(node) }),
    ...(ip === undefined ? {} : { ip }),
    ...(controller === undefined ? {} : { controller }),
  };
};

const phaseOf = (value: unknown): PodView['phase'] =>
  value === 'Pending' || value === 'Running' || value === 'Succeeded' || value === 'Failed' ? value : 'Unknown';

const VERSION_LIKE = /^v?[0-9][0-9A-Za-z.+_-]{0,46}$/;

const versionLikeAnnotations = (value: unknown, interner: Interner): PodView['versionAnnotations'] => {
  const annotations = asObject(value);
  if (annotations === undefined) return undefined;
  const entries: (readonly [string, string])[] = [];
  for (const name of Object.keys(annotations)) {
    const text = annotations[name];
    if (typeof text === 'string' && text.length <= 48 && VERSION_LIKE.test(text)) entries.push([name, text]);
  }
  return entries.length === 0 ? undefined : sharedRecord(entries, interner);
};

const containersOf = (value: unknown, interner: Interner): readonly ContainerView[] => {
  const containers: ContainerView[] = [];
  for (const entry of asList(value)) {
    const container = asObject(entry);
    const name = asText(container?.['name']);
    if (container === undefined || name === undefined) continue;
    containers.push({ name, image: asText(container['image']) ?? '', ports: portsOf(container['ports']) });
  }
  // The pods of a ReplicaSet have the same containers: one list for all of them.
  return interner.share(`containers${JSON.stringify(containers)}`, () => Object.freeze(containers));
};

const portsOf = (value: unknown): readonly ContainerPort[] => {
  const ports: ContainerPort[] = [];
  for (const entry of asList(value)) {
    const port = asObject(entry);
    const number = port?.['containerPort'];
    if (typeof number !== 'number') continue;
    const name = asText(port?.['name']);
    ports.push(name === undefined ? { port: number } : { name, port: number });
  }
  return ports;
};
