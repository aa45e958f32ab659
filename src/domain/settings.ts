// The settings in force for a resource: its spec, completed by what its workload, its namespace and the installation say
// for fields that it leaves out. Pure; who says what and what of it is valid is decided before.

import type { ServiceRegistrationSpec, SpecDefaults } from './crd-schema.ts';
import { isServiceName, type KeyLayout, SERVICE_NAME_RULE } from './names.ts';
import { type LabelSelector, readSelector } from './selector.ts';

export type WhenNotReady = 'MarkUnhealthy' | 'Lapse' | 'Remove';
export type InstanceIdMode = 'Generated' | 'PodName';
export type OnConflict = 'Yield' | 'Adopt';

/** What becomes of a Ready pod's key while the API server cannot be heard; what the modes mean is `controllers/outage.ts`. */
export type ApiOutage = { readonly mode: 'Hold' | 'Probe' | 'Lapse'; readonly maxHoldSeconds: number };

/** `PodReadiness`: only what Kubernetes says of the pod counts; what `NodeLease` adds is `node-loss.ts`. */
export type NodeLossMode = 'NodeLease' | 'PodReadiness';

/** Where the version comes from; `Chain` is the documented chain of annotation, labels and image tag. */
export type VersionSource =
  | { readonly kind: 'Value'; readonly value: string }
  | { readonly kind: 'Label'; readonly name: string }
  | { readonly kind: 'Annotation'; readonly name: string }
  | { readonly kind: 'ImageTag'; readonly container: string }
  | { readonly kind: 'Chain' };

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
  /** Absent: no group. */
  readonly stickyActiveGroup?: string;
  readonly whenNotReady: WhenNotReady;
  /** A pod that is Ready again within this was never away. */
  readonly notReadyGraceSeconds: number;
  readonly apiOutage: ApiOutage;
  readonly nodeLoss: NodeLossMode;
  readonly onConflict: OnConflict;
  readonly keyLayout: KeyLayout;
  readonly suspend: boolean;
};

/**
 * What counts for a field that a resource leaves out. The installation's are complete where every instance needs a
 * value; what a namespace or a workload says is spread over them, so that the nearest word counts.
 */
export type Defaults = SpecDefaults &
  Pick<
    Settings,
    | 'ttlSeconds'
    | 'refreshIntervalSeconds'
    | 'instanceId'
    | 'whenNotReady'
    | 'notReadyGraceSeconds'
    | 'apiOutage'
    | 'nodeLoss'
    | 'onConflict'
    | 'keyLayout'
  >;

/** What a nearer layer says, over what counts without it. */
export const overlaid = (under: Defaults, stated: SpecDefaults): Defaults => ({
  ...under,
  ...stated,
  apiOutage: apiOutageOf(under, stated),
});

const apiOutageOf = ({ apiOutage: under }: Defaults, { apiOutage: stated }: SpecDefaults): ApiOutage =>
  // One object for all that say nothing of it.
  stated === undefined
    ? under
    : { mode: stated.mode ?? under.mode, maxHoldSeconds: stated.maxHoldSeconds ?? under.maxHoldSeconds };

export type Resolved =
  | { readonly kind: 'valid'; readonly value: Settings }
  /** A sentence, without a full stop, that says what is wrong. */
  | { readonly kind: 'invalid'; readonly problem: string };

/**
 * A field's value is taken whole from the first that states it: nothing is merged, but for the two parts of `apiOutage`,
 * which are fields of their own. Only the refresh interval of a default gives way to the TTL: it is at most a third of it.
 */
export const resolveSettings = (spec: ServiceRegistrationSpec, serviceName: string, defaults: Defaults): Resolved => {
  if (!isServiceName(serviceName)) {
    return { kind: 'invalid', problem: `the service name "${serviceName}" must be ${SERVICE_NAME_RULE}` };
  }
  const { selector, version, port, ...stated } = { ...defaults, ...spec, apiOutage: apiOutageOf(defaults, spec) };
  const { ttlSeconds } = stated;
  const refreshIntervalSeconds =
    spec.refreshIntervalSeconds ?? Math.max(1, Math.min(defaults.refreshIntervalSeconds, Math.floor(ttlSeconds / 3)));
  if (refreshIntervalSeconds * 3 > ttlSeconds) {
    const problem = `spec.refreshIntervalSeconds: ${refreshIntervalSeconds} is more than a third of the TTL in force, ${ttlSeconds} s`;
    return { kind: 'invalid', problem };
  }
  const value: Settings = {
    metadata: {},
    metadataFromLabels: [],
    suspend: false,
    ...stated,
    serviceName,
    refreshIntervalSeconds,
    version: versionSource(version),
    ...(selector === undefined ? {} : { selector: readSelector(selector) }),
    ...(port === undefined ? {} : { port }),
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
