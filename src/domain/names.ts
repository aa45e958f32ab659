// The grammars of service names and instance ids, and the key made of the two. The one gate between user text and NATS
// subjects: JetStream stores literal `*` and `>` in subjects, which later match as wildcards, so nothing that fails its
// grammar may become an `InstanceKey`.

import { hashHex } from './hash.ts';
import type { InstanceKey } from './instance.ts';

const KEY_PREFIX = 'service-instances';

/** 3 to 64 characters; a second rule forbids `--`. */
const SERVICE_NAME_PATTERN = /^[a-z][a-z0-9-]{1,62}[a-z0-9]$/;
export const SERVICE_NAME_RULE =
  '3 to 64 lower-case letters, digits and single hyphens, beginning with a letter and not ending with a hyphen';

const INSTANCE_ID_PATTERN = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,99}$/;
const INSTANCE_ID_LENGTH_MAX = 100;

export const isServiceName = (text: string): boolean => SERVICE_NAME_PATTERN.test(text) && !text.includes('--');

export const isInstanceId = (text: string): boolean => INSTANCE_ID_PATTERN.test(text);

/**
 * `{serviceName}-{8 or 16 hex digits of the pod's UID}`: the same pod always gets the same id. A UID that is no UUID
 * (the API accepts any text for it) is replaced by its hash.
 */
export const generatedInstanceId = (serviceName: string, uid: string, digits: 8 | 16): string => {
  const hex = uid.replaceAll('-', '').toLowerCase();
  return `${serviceName}-${/^[0-9a-f]{16,}$/.test(hex) ? hex.slice(0, digits) : hashHex(uid, digits)}`;
};

/** The pod's name with `.` replaced by `-`; over 100 characters it is cut and ended with 8 hex digits of its hash. */
export const podNameInstanceId = (podName: string): string => {
  const flat = podName.replaceAll('.', '-');
  if (flat.length <= INSTANCE_ID_LENGTH_MAX) return flat;
  return `${flat.slice(0, INSTANCE_ID_LENGTH_MAX - 9)}-${hashHex(podName, 8)}`;
};

/** Undefined when either part fails its grammar: then there is no such key, and nothing may be published. */
export const instanceKey = (serviceName: string, instanceId: string): InstanceKey | undefined =>
  isServiceName(serviceName) && isInstanceId(instanceId)
    ? parseKeyText(`${KEY_PREFIX}.${serviceName}.${instanceId}`)
    : undefined;

/** The parts of a key, undefined for anything that we could not have written. */
export const parseInstanceKey = (
  text: string,
): { readonly key: InstanceKey; readonly serviceName: string; readonly instanceId: string } | undefined => {
  const [prefix, serviceName, instanceId, ...rest] = text.split('.');
  if (prefix !== KEY_PREFIX || serviceName === undefined || instanceId === undefined || rest.length > 0)
    return undefined;
  const key = instanceKey(serviceName, instanceId);
  return key === undefined ? undefined : { key, serviceName, instanceId };
};

const parseKeyText = (text: string): InstanceKey => text as InstanceKey;
