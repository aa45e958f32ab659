// Builders of views for tests: a whole, ordinary object, of which a test states only what it is about.

import { type ObjectKey, objectKey, type PodView } from '../../src/domain/pod.ts';
import type { LabelSelector } from '../../src/domain/selector.ts';
import type { RegistrationView } from '../../src/domain/service-registration.ts';
import type { Defaults, Settings } from '../../src/domain/settings.ts';
import type { WorkloadView } from '../../src/domain/workload.ts';

/** 2026-11-23T09:00:00Z, in ms since the epoch. */
export const NINE = 1_795_424_400_000;

/** Of an installation that was told nothing. */
export const someDefaults: Defaults = {
  ttlSeconds: 30,
  refreshIntervalSeconds: 10,
  instanceId: 'Generated',
  whenNotReady: 'MarkUnhealthy',
  notReadyGraceSeconds: 0,
  apiOutage: { mode: 'Probe', maxHoldSeconds: 300 },
  nodeLoss: 'NodeLease',
  onConflict: 'Yield',
  keyLayout: 'Dotted',
};

/** A Ready pod `trading/trading-1` with label `app: trading`, one container with one port. */
export const aPod = (pod: Partial<PodView> = {}): PodView => {
  const namespace = pod.namespace ?? 'trading';
  const name = pod.name ?? 'trading-1';
  return {
    key: objectKey(namespace, name),
    namespace,
    name,
    uid: '6f1d2c3b-4a59-4e0f-8d7c-1b2a39485766',
    createdAtMs: NINE,
    startedAtMs: NINE + 1_000,
    labels: { app: 'trading' },
    annotations: {},
    phase: 'Running',
    ready: true,
    readyChangedAtMs: NINE + 2_000,
    deleting: false,
    node: 'node-a',
    ip: '10.1.2.3',
    containers: [{ name: 'app', image: 'registry.example/trading:1.4.2', ports: [{ name: 'http', port: 8080 }] }],
    ...pod,
  };
};

/** A pod without some of its optional fields. */
export const aPodWithout = (...fields: readonly (keyof PodView)[]): PodView => {
  const missing = new Set<string>(fields);
  return keepFields(aPod(), (name) => !missing.has(name));
};

const keepFields = <T extends object>(object: T, keep: (name: string) => boolean): T =>
  Object.fromEntries(Object.entries(object).filter(([name]) => keep(name))) as T;

/** `matchLabels` alone. */
export const aSelector = (matchLabels: Readonly<Record<string, string>> = {}): LabelSelector => ({
  matchLabels,
  matchExpressions: [],
});

export type RegistrationOptions = Partial<Omit<RegistrationView, 'settings'>> & {
  readonly settings?: Partial<Settings>;
  /** Instead of settings: the sentence of an invalid spec. */
  readonly problem?: string;
};

/** `trading/trading-service`, a person's, for the service of its name, selecting `app: trading`. */
export const aRegistration = ({ settings, problem, ...view }: RegistrationOptions = {}): RegistrationView => {
  const namespace = view.namespace ?? 'trading';
  const name = view.name ?? 'trading-service';
  const serviceName = view.serviceName ?? settings?.serviceName ?? name;
  const value: Settings = {
    serviceName,
    selector: aSelector({ app: 'trading' }),
    ttlSeconds: 30,
    refreshIntervalSeconds: 10,
    instanceId: 'Generated',
    version: { kind: 'Chain' },
    metadata: {},
    metadataFromLabels: [],
    whenNotReady: 'MarkUnhealthy',
    notReadyGraceSeconds: 0,
    apiOutage: someDefaults.apiOutage,
    nodeLoss: 'NodeLease',
    onConflict: 'Yield',
    keyLayout: 'Dotted',
    suspend: false,
    ...settings,
  };
  return {
    key: objectKey(namespace, name),
    namespace,
    name,
    uid: `uid-of-${namespace}-${name}`,
    generation: 1,
    createdAtMs: NINE,
    owned: false,
    ownerUids: [],
    serviceName,
    status: undefined,
    deleting: false,
    ...(problem === undefined ? { spec: {} } : {}),
    ...view,
    settings: problem === undefined ? { kind: 'valid', value } : { kind: 'invalid', problem },
  };
};

/** The same without a selector: it takes the annotated pods that name its service. */
export const aSelectorless = (options: RegistrationOptions = {}): RegistrationView => {
  const registration = aRegistration(options);
  if (registration.settings.kind === 'invalid') return registration;
  return {
    ...registration,
    settings: { kind: 'valid', value: keepFields(registration.settings.value, (name) => name !== 'selector') },
  };
};

/** Deployment `trading/trading-service`, annotated to be registered. */
export const aWorkload = (workload: Partial<WorkloadView> = {}): WorkloadView => {
  const namespace = workload.namespace ?? 'trading';
  const name = workload.name ?? 'trading-service';
  return {
    key: objectKey(namespace, name),
    kind: 'Deployment',
    namespace,
    name,
    uid: 'abcde123-0000-4000-8000-000000000001',
    createdAtMs: NINE,
    deleting: false,
    labels: {},
    selector: aSelector({ app: 'trading' }),
    annotations: { register: 'true' },
    ...workload,
  };
};

export const keyOf = (name: string, namespace = 'trading'): ObjectKey => objectKey(namespace, name);
