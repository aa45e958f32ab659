// What a ServiceRegistration's status says, from what the table knows. Pure: the same input gives the same bytes, so
// that comparing with the stored status tells whether anything must be written.

import {
  type CONDITION_REASONS,
  DETAILS_MAX,
  MESSAGE_LENGTH_MAX,
  type RegistrationStatus,
} from './crd-status-schema.ts';
import { effectiveOf, type InForce, storedEffective, stretched, withMaxAge } from './effective-settings.ts';
import { type Circumstances, type Holding, limitationsOf } from './limitations.ts';
import type { Claim } from './name-claims.ts';
import { asList, asObject } from './raw.ts';
import type { RegistrationView } from './service-registration.ts';
import { formatSeconds } from './timestamp.ts';

/** One selected pod under one registration, as the table knows it. */
export type InstanceReport = {
  readonly pod: string;
  /** Absent for a pod that never had a key. */
  readonly instanceId?: string;
  readonly key?: string;
  /**
   * `ACTIVE`, `STANDBY`, `UNHEALTHY`: what the acknowledged key says. `Pending`: no live key; the reason says why.
   * `Conflict`: somebody else holds the key, or another pod or resource has the better right to it.
   */
  readonly status: 'ACTIVE' | 'STANDBY' | 'UNHEALTHY' | 'Pending' | 'Conflict';
  readonly reason?:
    | 'PodNotReady'
    /** Its node does not renew its lease. */
    | 'NodeSilent'
    | 'Terminating'
    | 'Suspended'
    | 'Deselected'
    | 'Registering'
    | 'Lapsed'
    | 'HeldByAnother'
    | 'SelectedTwice'
    | 'SameInstanceId'
    /** Not registered, because older instances take up the quota of the namespace. */
    | 'QuotaExceeded';
  /** For conflicts: whose it is. */
  readonly heldBy?: string;
  /** The pod is Ready and not being deleted: it should have a live key. */
  readonly ready: boolean;
  /** The registry will not have a key of this one, whatever becomes of others. */
  readonly refusal?: Refusal;
  readonly version?: string;
  readonly versionNote?: string;
  /** Absent for a pod that another resource has. */
  readonly inForce?: InForce;
  /** Wall ms of the last change of `status`. */
  readonly sinceMs: number;
};

/** Whether the registry can be written, and the condition reason and sentence when it cannot. */
export type RegistryHealth =
  | {
      readonly kind: 'writable';
      /** Of the bucket as last seen; shortens longer TTLs. 0: none. */
      readonly maxAgeSeconds: number;
    }
  | ({ readonly kind: 'broken'; readonly maxAgeSeconds: number } & Refusal);

/** Why the registry, or a key of it, is not written: a condition's reason and a sentence. */
export type Refusal = {
  readonly reason: 'RegistryUnavailable' | 'RegistryUnsupported' | 'RegistryDenied' | 'RegistryFull';
  readonly message: string;
};

export type SummaryInput = {
  readonly registration: RegistrationView;
  /** Of the service in the registry, where that is not its own name. */
  readonly registryName?: string;
  /** Whether the resource may use its name; absent: it may. */
  readonly claim?: Claim;
  /** The namespace's quota of instances, for people. */
  readonly quota?: string;
  readonly bucket: string;
  readonly reports: readonly InstanceReport[];
  readonly registry: RegistryHealth;
  /** False while the view of the cluster is old: Ready becomes Unknown `ViewStale`. */
  readonly viewFresh: boolean;
  /** A brake keeps keys up. */
  readonly holding?: Holding;
  /** The API server cannot be heard. */
  readonly outage?: boolean;
  /** By what factor the write budget stretches all intervals; absent: not at all. */
  readonly stretch?: number;
  /** The NATS server's clock minus ours; absent or 0: nothing worth telling. */
  readonly clockSkewSeconds?: number;
  readonly wallMs: number;
};

export type { RegistrationStatus };

type Counts = RegistrationStatus['instances'];
type ConditionStatus = RegistrationStatus['conditions'][number]['status'];
type Reasons = typeof CONDITION_REASONS;
type Reason<Type extends keyof Reasons, Status extends ConditionStatus> = Reasons[Type][Status][number];
/** One of the listed reasons under its status. */
type Finding<Type extends keyof Reasons> = {
  [Status in ConditionStatus]: {
    readonly status: Status;
    readonly reason: Reason<Type, Status>;
    readonly message: string;
  };
}[ConditionStatus];

/** Conflicts named in a message; all of them are counted. */
const CONFLICTS_NAMED = 3;

export const summarise = (input: SummaryInput): RegistrationStatus => {
  const { registration, reports } = input;
  const stored = asObject(registration.status);
  const { settings } = registration;
  const agreed =
    settings.kind === 'valid'
      ? effectiveOf(
          settings.value,
          reports.flatMap(({ inForce }) => inForce ?? []),
        )
      : storedEffective(stored);
  // What is stored was stretched when it was stored.
  const paced = agreed === undefined || settings.kind === 'invalid' ? agreed : stretched(agreed, input.stretch ?? 1);
  const effective = paced === undefined ? undefined : withMaxAge(paced, input.registry.maxAgeSeconds);
  const counts = countsOf(reports);
  const findings = {
    Ready: readyFinding(input, counts),
    Conflict: conflictFinding(reports),
    Degraded: degradedFinding(input, settings.kind === 'valid' ? { agreed, paced } : {}),
  };
  return {
    observedGeneration: registration.generation,
    serviceName: input.registryName ?? registration.serviceName ?? registration.name,
    bucket: input.bucket,
    ...(effective === undefined ? {} : { effective }),
    ready: `${counts.registered}/${counts.selected}`,
    instances: counts,
    details: detailsOf(reports),
    conditions: Object.entries(findings).map(([type, { status, reason, message }]) => ({
      type,
      status,
      observedGeneration: registration.generation,
      lastTransitionTime: storedTransition(stored, type, status) ?? formatSeconds(input.wallMs),
      reason,
      message: cut(message),
    })),
  };
};

/** Equal as JSON: the order of keys and fields that are `undefined` do not count. */
export const sameStatus = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) || Array.isArray(b)) {
    return (
      Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, i) => sameStatus(item, b[i]))
    );
  }
  const left = asObject(a);
  const right = asObject(b);
  if (left === undefined || right === undefined) return false;
  const names = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...names].every((name) => sameStatus(left[name], right[name]));
};

const countsOf = (reports: readonly InstanceReport[]): Counts => {
  const of = (status: InstanceReport['status']) => reports.filter((report) => report.status === status).length;
  const active = of('ACTIVE');
  const standby = of('STANDBY');
  return {
    selected: reports.length,
    registered: active + standby,
    active,
    standby,
    unhealthy: of('UNHEALTHY'),
    pending: of('Pending'),
    conflicting: of('Conflict'),
  };
};

const isRegistered = ({ status }: InstanceReport): boolean => status === 'ACTIVE' || status === 'STANDBY';

const readyFinding = (input: SummaryInput, counts: Counts): Finding<'Ready'> => {
  const { settings } = input.registration;
  const no = (reason: Reason<'Ready', 'False'>, message: string) => ({ status: 'False', reason, message }) as const;
  if (settings.kind === 'invalid') {
    return no('InvalidSpec', `${settings.problem}. What is registered stays as it is until this is put right.`);
  }
  const { claim } = input;
  if (claim?.kind === 'unfit') return no('InvalidSpec', `${claim.problem}. Nothing of this resource is registered.`);
  if (!input.viewFresh) {
    const message = 'Rollcall has had no news from the API server for a while; what is said here may no longer hold.';
    return { status: 'Unknown', reason: 'ViewStale', message };
  }
  if (claim?.kind === 'denied') return no('NameDenied', claim.message);
  if (claim?.kind === 'excess') return no('QuotaExceeded', claim.message);
  if (input.registry.kind === 'broken') {
    const { reason, message } = input.registry;
    return no(reason, `${sentence(message)} ${REGISTRY_ADVICE[reason]}`);
  }
  const { selector, serviceName, suspend } = settings.value;
  if (suspend) {
    const whose =
      input.registration.spec?.suspend === true
        ? 'spec.suspend'
        : 'suspend in the defaults of the namespace or of the installation';
    return no('Suspended', `${whose} is true: no key of this resource is written, and all of them lapse.`);
  }
  if (counts.selected === 0) {
    const nobody =
      selector === undefined ? `no annotated pod names the service ${serviceName}` : 'the selector selects no pod';
    return no('NoPodsSelected', `In this namespace ${nobody}.`);
  }
  const ready = input.reports.filter((report) => report.ready);
  if (ready.length === 0)
    return no('WaitingForPods', `None of the ${plural(counts.selected, 'selected pod')} is Ready.`);
  const registered = ready.filter(isRegistered).length;
  const refusal = ready.find((report) => report.refusal !== undefined)?.refusal;
  if (refusal !== undefined) {
    const why = `${sentence(refusal.message)} ${REGISTRY_ADVICE[refusal.reason]}`;
    return no(refusal.reason, `${registered} of ${plural(ready.length, 'Ready pod')} registered. ${why}`);
  }
  if (registered === ready.length) {
    const resting = counts.selected - ready.length;
    const rest = resting === 0 ? '' : ` ${plural(resting, 'selected pod')} ${resting === 1 ? 'is' : 'are'} not Ready.`;
    return { status: 'True', reason: 'Registered', message: `All Ready pods are registered: ${registered}.${rest}` };
  }
  const excess = ready.filter(({ reason }) => reason === 'QuotaExceeded').length;
  if (excess > 0) {
    const quota = `namespace ${input.registration.namespace} has more than its quota of ${input.quota ?? 'instances'}, and the oldest count`;
    const message = `${registered} of ${plural(ready.length, 'Ready pod')} registered; ${excess} not, because ${quota}. Remove what is not needed, or have the quota raised.`;
    return no('QuotaExceeded', message);
  }
  const conflicting = ready.filter(({ status }) => status === 'Conflict').length;
  const why = conflicting === 0 ? '' : ` ${plural(conflicting, 'key')} cannot be had: see the condition Conflict.`;
  const message = `${registered} of ${plural(ready.length, 'Ready pod')} registered.${why}`;
  if (registered > 0) return no('PartiallyRegistered', message);
  return no(conflicting === ready.length ? 'Conflict' : 'Registering', message);
};

/** What the registry said, which may end without a full stop. */
const sentence = (text: string): string => (text.endsWith('.') ? text : `${text}.`);

/** What becomes of it, or what a person can do. */
const REGISTRY_ADVICE: Readonly<Record<Refusal['reason'], string>> = {
  RegistryUnavailable: 'Rollcall goes on trying by itself.',
  RegistryUnsupported: 'For more: rollcall bucket check.',
  RegistryDenied: 'All rights that are needed: docs/permissions.md.',
  RegistryFull: 'Give the bucket more room.',
};

const conflictFinding = (reports: readonly InstanceReport[]): Finding<'Conflict'> => {
  const conflicts = reports.filter(({ status }) => status === 'Conflict').toSorted(byPod);
  for (const reason of ['HeldByAnother', 'SelectedTwice', 'SameInstanceId'] as const) {
    const some = conflicts.filter((report) => report.reason === reason);
    if (some.length === 0) continue;
    const named = some.slice(0, CONFLICTS_NAMED).map(conflictSentence);
    const more = conflicts.length - named.length;
    return { status: 'True', reason, message: `${named.join(' ')}${more > 0 ? ` And ${more} more.` : ''}` };
  }
  return { status: 'False', reason: 'NoConflict', message: 'No key is disputed.' };
};

/** Of a report with the status `Conflict`. */
export const conflictSentence = ({ pod, key, heldBy, reason }: InstanceReport): string => {
  const holder = heldBy ?? 'somebody else';
  if (reason === 'SelectedTwice')
    return `The pod ${pod} is selected for the same service by the older resource ${holder}, which counts.`;
  if (reason === 'SameInstanceId')
    return `The pod ${pod} comes to the same instance id as the older pod ${holder}, which has it.`;
  return `The key ${key ?? 'of this pod'} of pod ${pod} is held by ${holder}.`;
};

const degradedFinding = (
  { reports, registry, holding, outage = false, clockSkewSeconds = 0 }: SummaryInput,
  pace: Pick<Circumstances, 'agreed' | 'paced'>,
): Finding<'Degraded'> => {
  const found = limitationsOf({
    ...pace,
    maxAgeSeconds: registry.maxAgeSeconds,
    holding,
    outage,
    clockSkewSeconds,
    versionNotes: reports.flatMap(({ versionNote }) => versionNote ?? []),
  });
  const [worst] = found;
  if (worst === undefined) return { status: 'False', reason: 'AsExpected', message: 'Nothing is limited.' };
  return { status: 'True', reason: worst.reason, message: found.map(({ message }) => message).join(' ') };
};

const DETAIL_ORDER = { UNHEALTHY: 0, Conflict: 1, Pending: 2, ACTIVE: 3, STANDBY: 3 } as const;

const detailsOf = (reports: readonly InstanceReport[]): RegistrationStatus['details'] =>
  reports
    .toSorted((a, b) => DETAIL_ORDER[a.status] - DETAIL_ORDER[b.status] || byPod(a, b))
    .slice(0, DETAILS_MAX)
    .map(({ pod, instanceId, key, status, reason, version, sinceMs }) => ({
      pod,
      ...(instanceId === undefined ? {} : { instanceId }),
      ...(key === undefined ? {} : { key }),
      status,
      ...(reason === undefined ? {} : { reason }),
      ...(version === undefined ? {} : { version }),
      since: formatSeconds(sinceMs),
    }));

const byPod = (a: InstanceReport, b: InstanceReport): number => (a.pod < b.pod ? -1 : a.pod > b.pod ? 1 : 0);

/** When the condition last changed its status, as stored; undefined when it changes now or was never stored. */
const storedTransition = (
  stored: ReturnType<typeof asObject>,
  type: string,
  status: ConditionStatus,
): string | undefined => {
  const condition = asList(stored?.['conditions'])
    .map(asObject)
    .find((entry) => entry?.['type'] === type);
  const time = condition?.['lastTransitionTime'];
  return condition?.['status'] === status && typeof time === 'string' ? time : undefined;
};

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

const cut = (message: string): string =>
  message.length <= MESSAGE_LENGTH_MAX ? message : `${message.slice(0, MESSAGE_LENGTH_MAX - 1).toWellFormed()}…`;
