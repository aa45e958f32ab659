// The metadata of a value: what is reserved, then what users ask for by resource, label and annotation, within the limits.
// Pure; which settings are in force is `decide.ts`.

import { type AnnotationProblem, problem } from './annotations.ts';
import { afterSlash } from './crd-schema.ts';
import type { PodView } from './pod.ts';
import type { Settings } from './settings.ts';
import { formatTimestamp, type Offset } from './timestamp.ts';
import { isUserMetadataKey, METADATA_BYTES_MAX, METADATA_ENTRIES_MAX, metadataBytes } from './user-metadata.ts';

type Metadata = Record<string, string | number>;

export const reservedMetadata = (
  pod: PodView,
  port: number | undefined,
  sourceVersion: string | undefined,
  offset: Offset,
): Metadata => {
  const metadata = emptyMetadata();
  metadata['start_time'] = formatTimestamp(pod.startedAtMs ?? pod.createdAtMs, offset);
  metadata['namespace'] = pod.namespace;
  metadata['pod'] = pod.name;
  if (pod.node !== undefined) metadata['node'] = pod.node;
  if (pod.ip !== undefined) metadata['ip'] = pod.ip;
  if (port !== undefined) metadata['port'] = port;
  if (sourceVersion !== undefined) metadata['sourceVersion'] = sourceVersion;
  return metadata;
};

type UserMetadata = Readonly<Record<string, string>>;

/** What the resource says of it, with the pod's labels where there is room for them. */
export const usersMetadata = (pod: PodView, settings: Settings): UserMetadata => {
  const fromLabels: Record<string, string> = emptyMetadata();
  for (const label of settings.metadataFromLabels) {
    const key = afterSlash(label);
    const value = Object.hasOwn(pod.labels, label) ? pod.labels[label] : undefined;
    if (value !== undefined && isUserMetadataKey(key)) fromLabels[key] = value;
  }
  const withLabels = { ...settings.metadata, ...fromLabels };
  return fits(withLabels) ? withLabels : settings.metadata;
};

/** What does not fit in beside the rest is no good either. */
export const annotatedMetadataOf = (
  pod: PodView,
  users: UserMetadata,
  annotated: UserMetadata,
  lastGood: UserMetadata = {},
  problems: AnnotationProblem[],
): UserMetadata => {
  if (fits({ ...users, ...annotated })) return annotated;
  const limits = `${METADATA_ENTRIES_MAX} entries and ${METADATA_BYTES_MAX} bytes`;
  problems.push(problem(pod.annotations, 'metadata', `must, with the resource's metadata, stay within ${limits}`));
  return fits({ ...users, ...lastGood }) ? lastGood : {};
};

/** Users' entries after ours, in the order of their keys, so that no order of reading changes the value. */
export const inOrderOfKeys = (reserved: Metadata, users: UserMetadata): Metadata => {
  for (const key of Object.keys(users).sort()) {
    const value = users[key];
    if (value !== undefined) reserved[key] = value;
  }
  return reserved;
};

// A UTF-16 unit takes at most six bytes of JSON, so that most metadata need not be encoded to be measured.
const BYTES_PER_UNIT_MAX = 6;
const BYTES_AROUND_ENTRY = 6;

const fits = (metadata: Readonly<Record<string, string | number>>): boolean => {
  const keys = Object.keys(metadata);
  if (keys.length > METADATA_ENTRIES_MAX) return false;
  let units = 0;
  for (const key of keys) units += key.length + String(metadata[key]).length;
  const bytesAtMost = units * BYTES_PER_UNIT_MAX + keys.length * BYTES_AROUND_ENTRY + 2;
  return bytesAtMost <= METADATA_BYTES_MAX || metadataBytes(metadata) <= METADATA_BYTES_MAX;
};

const emptyMetadata = <T extends Metadata>(): T => Object.create(null) as T;
