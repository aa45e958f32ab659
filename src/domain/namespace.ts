// A namespace as Rollcall sees it: its labels, which policies select by, and our annotations. Not the Kubernetes object:
// `trimNamespace` reads that.

import type { Interner } from './intern.ts';
import { type ObjectKey, objectKey } from './pod.ts';
import { annotationStem, asObject, asText, textRecord } from './raw.ts';

export type NamespaceView = {
  readonly key: ObjectKey;
  /** Always empty: a namespace is in none. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Our annotations, prefix cut. */
  readonly annotations: Readonly<Record<string, string>>;
};

/** The key of an object that is in no namespace. */
export const clusterKey = (name: string): ObjectKey => objectKey('', name);

/** Undefined for what has no UID or name; never throws. */
export const trimNamespace = (
  raw: unknown,
  annotationPrefix: string,
  interner: Interner,
): NamespaceView | undefined => {
  const metadata = asObject(asObject(raw)?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  if (metadata === undefined || uid === undefined || name === undefined) return undefined;
  return {
    key: clusterKey(name),
    namespace: '',
    name: interner.text(name),
    uid,
    labels: textRecord(metadata['labels'], interner),
    annotations: textRecord(metadata['annotations'], interner, annotationStem(annotationPrefix)),
  };
};
