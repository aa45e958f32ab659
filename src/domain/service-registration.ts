// A ServiceRegistration as the rest of the code sees it.
// Not the schema users write against: that is `crd-schema.ts`, and `trimRegistration` turns the one into the other.

import { RELEASE_ANNOTATION } from './annotations.ts';
import { parseSpec, type ServiceRegistrationSpec } from './crd-schema.ts';
import { type ObjectKey, objectKey } from './pod.ts';
import { annotationStem, asList, asObject, asText, asTimeMs } from './raw.ts';
import { type Defaults, type Resolved, resolveSettings } from './settings.ts';

export type RegistrationView = {
  readonly key: ObjectKey;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  /** ms since the epoch. */
  readonly createdAtMs: number;
  /** Carries the label `app.kubernetes.io/managed-by: rollcall`. */
  readonly owned: boolean;
  readonly ownerUids: readonly string[];
  /** The effective name, known even when the rest of the spec is invalid: it can never change. */
  readonly serviceName?: string;
  /** The spec as stored, without defaults; absent when it is invalid. */
  readonly spec?: ServiceRegistrationSpec;
  /** The settings in force, or the sentence that says what is wrong with the spec. */
  readonly settings: Resolved;
  /** The status last stored, as read: compared before writing, and its conditions keep their transition times. */
  readonly status: unknown;
  /** deletionTimestamp is set. */
  readonly deleting: boolean;
  /** The annotation `release-brake` as it is written; what it means is `release-brake.ts`. */
  readonly releaseBrake?: string;
};

/** The same, with the settings that follow from other defaults than those it was trimmed with. */
export const withDefaults = (registration: RegistrationView, defaults: Defaults): RegistrationView => {
  const { spec, serviceName } = registration;
  if (spec === undefined || serviceName === undefined) return registration;
  return { ...registration, settings: resolveSettings(spec, serviceName, defaults) };
};

export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by';
export const MANAGED_BY_VALUE = 'rollcall';

/**
 * Undefined for what has no UID, name or namespace; never throws. The API server has validated the spec against the
 * CRD, but an older CRD may have let it in, and some rules need the installation's defaults.
 */
export const trimRegistration = (
  raw: unknown,
  defaults: Defaults,
  annotationPrefix = 'rollcall.dev',
): RegistrationView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  const namespace = asText(metadata?.['namespace']);
  if (metadata === undefined || uid === undefined || name === undefined || namespace === undefined) return undefined;
  const spec = asObject(object?.['spec']) ?? {};
  const serviceName = asText(spec['serviceName']) ?? name;
  const parsed = parseSpec(spec);
  const generation = metadata['generation'];
  const releaseBrake = asObject(metadata['annotations'])?.[`${annotationStem(annotationPrefix)}${RELEASE_ANNOTATION}`];
  return {
    key: objectKey(namespace, name),
    namespace,
    name,
    uid,
    generation: typeof generation === 'number' ? generation : 0,
    createdAtMs: asTimeMs(metadata['creationTimestamp']) ?? 0,
    owned: asObject(metadata['labels'])?.[MANAGED_BY_LABEL] === MANAGED_BY_VALUE,
    ownerUids: asList(metadata['ownerReferences']).flatMap((owner) => asText(asObject(owner)?.['uid']) ?? []),
    serviceName,
    settings: parsed.kind === 'valid' ? resolveSettings(parsed.value, serviceName, defaults) : parsed,
    status: object?.['status'],
    deleting: asText(metadata['deletionTimestamp']) !== undefined,
    ...(parsed.kind === 'valid' ? { spec: parsed.value } : {}),
    ...(typeof releaseBrake === 'string' ? { releaseBrake } : {}),
  };
};
