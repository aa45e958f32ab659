// A ServiceRegistration as the rest of the code sees it, and the settings in force after all defaults are applied.
// Not the schema users write against: that is `crd-schema.ts`, and `trimRegistration` turns the one into the other.

import { type ServiceRegistrationSpec, specSchema } from './crd-schema.ts';
import { isServiceName, SERVICE_NAME_RULE } from './names.ts';
import { type ObjectKey, objectKey } from './pod.ts';
import { asList, asObject, asText, asTimeMs, type RawObject } from './raw.ts';
import { type LabelSelector, readSelector } from './selector.ts';

export type WhenNotReady = 'MarkUnhealthy' | 'Lapse' | 'Remove';
export type InstanceIdMode = 'Generated' | 'PodName';
export type OnConflict = 'Yield' | 'Adopt';

/** Where the version comes from; `Chain` is the documented chain of annotation, labels and image tag. */
export type VersionSource =
  | { readonly kind: 'Value'; readonly value: string }
  | { readonly kind: 'Label'; readonly name: string }
  | { readonly kind: 'Annotation'; readonly name: string }
  | { readonly kind: 'ImageTag'; readonly container: string }
  | { readonly kind: 'Chain' };

export type { LabelSelector };

/** What is in force for one resource: its spec, completed by the installation's defaults. */
export type Settings = {
  readonly serviceName: string;
  /** Absent: the annotated pods of the namespace that name this service. */
  readonly selector?: LabelSelector;
  readonly ttlSeconds: number;
  readonly refreshIntervalSeconds: number;
  readonly instanceId: InstanceIdMode;
  readonly version: VersionSource;
  /** A port's name or number; absent: the pod's only declared port, else none. */
  readonly port?: string | number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly metadataFromLabels: readonly string[];
  readonly whenNotReady: WhenNotReady;
  readonly onConflict: OnConflict;
  readonly suspend: boolean;
};

/** The part of the settings every installation has a default for. */
export type InstallationDefaults = Pick<
  Settings,
  'ttlSeconds' | 'refreshIntervalSeconds' | 'instanceId' | 'whenNotReady' | 'onConflict'
>;

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
  readonly settings:
    | { readonly kind: 'valid'; readonly value: Settings }
    | { readonly kind: 'invalid'; readonly problem: string };
  /** The status last stored, as read: compared before writing, and its conditions keep their transition times. */
  readonly status: unknown;
  /** deletionTimestamp is set. */
  readonly deleting: boolean;
};

export const MANAGED_BY_LABEL = 'app.kubernetes.io/managed-by';
export const MANAGED_BY_VALUE = 'rollcall';

/**
 * Undefined for what has no UID, name or namespace; never throws. The API server has validated the spec against the
 * CRD, but an older CRD may have let it in, and some rules need the installation's defaults.
 */
export const trimRegistration = (raw: unknown, defaults: InstallationDefaults): RegistrationView | undefined => {
  const object = asObject(raw);
  const metadata = asObject(object?.['metadata']);
  const uid = asText(metadata?.['uid']);
  const name = asText(metadata?.['name']);
  const namespace = asText(metadata?.['namespace']);
  if (metadata === undefined || uid === undefined || name === undefined || namespace === undefined) return undefined;
  const spec = asObject(object?.['spec']);
  const serviceName = asText(spec?.['serviceName']) ?? name;
  const parsed = specSchema.safeParse(spec ?? {});
  const settings: RegistrationView['settings'] = parsed.success
    ? resolveSettings(parsed.data, spec ?? {}, serviceName, defaults)
    : { kind: 'invalid', problem: describeIssue(parsed.error.issues[0]) };
  const generation = metadata['generation'];
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
    settings,
    status: object?.['status'],
    deleting: asText(metadata['deletionTimestamp']) !== undefined,
    ...(parsed.success ? { spec: parsed.data } : {}),
  };
};

const describeIssue = (
  issue: { readonly path: readonly PropertyKey[]; readonly message: string } | undefined,
): string => {
  const path = ['spec', ...(issue?.path ?? [])].map(String).join('.');
  return `${path}: ${issue?.message ?? 'invalid'}`;
};

const resolveSettings = (
  spec: ServiceRegistrationSpec,
  rawSpec: RawObject,
  serviceName: string,
  defaults: InstallationDefaults,
): RegistrationView['settings'] => {
  if (!isServiceName(serviceName)) {
    return { kind: 'invalid', problem: `the service name "${serviceName}" must be ${SERVICE_NAME_RULE}` };
  }
  const ttlSeconds = spec.ttlSeconds ?? defaults.ttlSeconds;
  const refreshIntervalSeconds =
    spec.refreshIntervalSeconds ?? Math.max(1, Math.min(defaults.refreshIntervalSeconds, Math.floor(ttlSeconds / 3)));
  if (refreshIntervalSeconds * 3 > ttlSeconds) {
    const problem = `spec.refreshIntervalSeconds: ${refreshIntervalSeconds} is more than a third of the TTL in force, ${ttlSeconds} s`;
    return { kind: 'invalid', problem };
  }
  const value: Settings = {
    serviceName,
    ttlSeconds,
    refreshIntervalSeconds,
    instanceId: spec.instanceId ?? defaults.instanceId,
    version: versionSource(spec.version),
    metadata: spec.metadata ?? {},
    metadataFromLabels: spec.metadataFromLabels ?? [],
    whenNotReady: spec.whenNotReady ?? defaults.whenNotReady,
    onConflict: spec.onConflict ?? defaults.onConflict,
    suspend: spec.suspend ?? false,
    ...(spec.selector === undefined ? {} : { selector: readSelector(rawSpec['selector']) }),
    ...(spec.port === undefined ? {} : { port: spec.port }),
  };
  return { kind: 'valid', value };
};

const versionSource = (version: ServiceRegistrationSpec['version']): VersionSource => {
  if (version?.value !== undefined) return { kind: 'Value', value: version.value };
  if (version?.fromLabel !== undefined) return { kind: 'Label', name: version.fromLabel };
  if (version?.fromAnnotation !== undefined) return { kind: 'Annotation', name: version.fromAnnotation };
  if (version?.fromImageTag !== undefined) return { kind: 'ImageTag', container: version.fromImageTag };
  return { kind: 'Chain' };
};
