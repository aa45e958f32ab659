// A key of ours in the stream whose pod nobody here wishes for: the pod went while nobody led. Pure: turns the stored
// message into a wish to say farewell, from what the value and its owner header tell.

import { TTL_SECONDS_MAX } from '../domain/crd-schema.ts';
import type { InstanceContent, InstanceKey, Wish } from '../domain/instance.ts';
import { type KeyForm, parseInstanceKey } from '../domain/names.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import { parseInstance, parseOwner } from '../domain/service-instance.ts';
import type { Settings } from '../domain/settings.ts';

import { withoutStickyTerm } from '../domain/sticky.ts';

import { normaliseVersion } from '../domain/version.ts';

import type { StoredMessage } from './registry.ts';

export type Orphan = {
  readonly wish: Wish;
  readonly instanceId: string;
  readonly key: InstanceKey;
  readonly form: KeyForm;
  /** The resource of its service is invalid: whether its pod is there must be asked before anything is said of it. */
  readonly frozen: boolean;
};

/** What the settings of its service say of the key of a pod that is not to be seen. */
export type OrphanSettings = Pick<Settings, 'whenNotReady' | 'apiOutage' | 'refreshIntervalSeconds'> & {
  /** The resource of the service; absent: there is none. */
  readonly registration?: ObjectKey;
  /** Its spec is, so that what is registered under it stays as it is. */
  readonly invalid?: true;
};

/** Undefined for what is not ours, or cannot be read as a value of ours: that is left to lapse. */
export const orphanOf = (
  message: StoredMessage,
  bucket: string,
  operatorId: string,
  settingsOf: (namespace: string, serviceName: string) => OrphanSettings,
): Orphan | undefined => {
  const owner = parseOwner(message.headers['Rollcall-Owner'] ?? '');
  if (message.operation !== 'PUT' || owner?.operatorId !== operatorId) return undefined;
  const parts = parseInstanceKey(message.subject.slice(`$KV.${bucket}.`.length));
  const value = parseInstance(message.body);
  if (parts === undefined || value === undefined) return undefined;
  if (message.body.length > VALUE_BYTES_MAX || !isRepeatable(value.content, parts.serviceName)) return undefined;
  const settings = settingsOf(owner.namespace, parts.serviceName);
  const { whenNotReady, apiOutage, refreshIntervalSeconds } = settings;
  // What somebody planted in our name may have any TTL; ours are whole seconds.
  const ttlMs = Math.min(Math.max(1, Math.ceil(message.ttlSeconds ?? 0)), TTL_SECONDS_MAX) * 1_000;
  return {
    instanceId: parts.instanceId,
    key: parts.key,
    form: parts.form,
    frozen: settings.invalid === true,
    wish: {
      pod: { namespace: owner.namespace, name: owner.name, uid: owner.uid },
      registration: settings.registration ?? objectKey(owner.namespace, parts.serviceName),
      serviceName: parts.serviceName,
      instanceIdMode: 'Generated',
      keyLayout: parts.form,
      whenNotReady,
      adopt: false,
      apiOutage,
      nodeLoss: 'NodeLease',
      ttlMs,
      intervalMs: Math.max(Math.min(ttlMs / 3, refreshIntervalSeconds * 1_000), 1_000),
      content: { ...value.content, metadata: withoutStickyTerm(value.content.metadata) },
      state: { kind: 'away', reason: 'Terminating' },
      podCreatedAtMs: 0,
      readySinceMs: Number.POSITIVE_INFINITY,
    },
  };
};

/** Nothing of ours is larger. */
const VALUE_BYTES_MAX = 8_192;

/** A farewell repeats what stands: somebody else may have written it in our name, and readers must not refuse ours. */
const isRepeatable = (
  { serviceName, version, stickyActiveGroup, metadata }: InstanceContent,
  service: string,
): boolean =>
  serviceName === service &&
  normaliseVersion(version) === version &&
  (stickyActiveGroup ?? '').isWellFormed() &&
  Object.entries(metadata).every(([key, value]) => key.isWellFormed() && String(value).isWellFormed());
