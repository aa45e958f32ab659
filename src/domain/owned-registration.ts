// The ServiceRegistrations that Rollcall writes itself, for annotated workloads and annotated pods: which should exist,
// with what in them, and which should go. Pure; writing and deleting is the workload controller's. A resource written
// by a person is never in the answer but as the reason why there is none of ours.

import {
  type AnnotationProblem,
  annotatedServiceName,
  readRegister,
  readSpecAnnotations,
  registerProblem,
  serviceNameProblem,
  withoutPodFields,
} from './annotations.ts';
import { type ServiceRegistrationSpec, specSchema } from './crd-schema.ts';
import { hashHex } from './hash.ts';
import type { PodView } from './pod.ts';
import { sameStatus as sameJson } from './registration-status.ts';
import type { LabelSelector } from './selector.ts';
import { MANAGED_BY_LABEL, MANAGED_BY_VALUE, type RegistrationView } from './service-registration.ts';
import type { Defaults } from './settings.ts';
import type { WorkloadView } from './workload.ts';

export type OwnerReference = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller: boolean;
  /** Always false: deleting a workload must not wait for us. */
  readonly blockOwnerDeletion: false;
};

export type ServiceRegistrationManifest = {
  readonly apiVersion: 'rollcall.dev/v1alpha1';
  readonly kind: 'ServiceRegistration';
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly ownerReferences: readonly OwnerReference[];
  };
  readonly spec: ServiceRegistrationSpec;
};

export type OwnedPlan = {
  /** To be applied, unless `isApplied` says that it stands; undefined: there should be none. */
  readonly manifest?: ServiceRegistrationManifest;
  /** Owned resources that should be deleted. */
  readonly remove: readonly RegistrationView[];
  /** The resource of a person that registers this service, so that ours must not. */
  readonly person?: RegistrationView;
  readonly problems: readonly AnnotationProblem[];
};

/** `registrations`: those of the workload's namespace. */
export const planForWorkload = (
  workload: WorkloadView,
  registrations: readonly RegistrationView[],
  defaults: Defaults,
): OwnedPlan => {
  const { annotations } = workload;
  const ours = registrations.filter(({ owned, ownerUids }) => owned && ownerUids.includes(workload.uid));
  const register = readRegister(annotations);
  // Nobody knows what an invalid wish wants, so the last good one stands: registered when there is a resource.
  const wanted = register === 'yes' || (register === 'invalid' && ours.length > 0);
  if (!wanted || workload.deleting) {
    // They count for resources by hand that select its pods.
    const { problems } = readSpecAnnotations(annotations, defaults);
    // Its pods stay as well, and so does what registers them.
    const remove = workload.orphans === true ? [] : ours;
    return { remove, problems: [...registerProblem(annotations), ...problems] };
  }
  const problems = [...registerProblem(annotations), ...serviceNameProblem(annotations)];
  const [stored] = ours;
  // Likewise for an invalid service name: the one in force stays.
  const serviceName =
    (serviceNameProblem(annotations).length > 0 ? stored?.serviceName : undefined) ??
    annotatedServiceName(annotations, workload.labels, workload.name);
  if (serviceName === undefined) return { remove: ours, problems: [...problems, namelessProblem(workload.name)] };
  // The older one first, which has the pods.
  const left = registrations.filter((registration) => isLeftTo(workload, registration));
  const standing = [...left, ...ours].find((registration) => registration.serviceName === serviceName);
  const spec = readSpecAnnotations(annotations, defaults, (standing ?? stored)?.spec);
  problems.push(...spec.problems);
  const person = personFor(serviceName, registrations, standing);
  if (person !== undefined) return { remove: ours, person, problems };
  const name = standing?.name ?? freeName(workload.name, suffixOf(workload.uid), registrations);
  const remove = ours.filter((registration) => registration !== standing);
  // Both names are taken, for a moment, by what is about to be removed: the removal brings us here again.
  if (name === undefined) return { remove, problems };
  const owner: OwnerReference = {
    apiVersion: 'apps/v1',
    kind: workload.kind,
    name: workload.name,
    uid: workload.uid,
    controller: true,
    blockOwnerDeletion: false,
  };
  const selector = specSelector(workload.selector);
  const manifest = manifestOf(workload.namespace, name, [owner], { serviceName, selector, ...spec.spec });
  return { manifest, remove, problems };
};

/** Enough to outlive most of them; an object of thousands of owners would be rewritten at every pod's death. */
const OWNERS_MAX = 20;

/**
 * For annotated pods without an annotated workload: one resource per service, without a selector, owned by the pods'
 * controllers or by the pods. `pods`: all of the namespace that are annotated so and name this service; none: the
 * resource goes. Version, port and metadata are each pod's own and stay out of the spec; the rest is the oldest pod's.
 */
export const planForPods = (
  namespace: string,
  serviceName: string,
  pods: readonly PodView[],
  registrations: readonly RegistrationView[],
  defaults: Defaults,
): OwnedPlan => {
  const ours = registrations.filter(
    (registration) =>
      registration.owned &&
      registration.serviceName === serviceName &&
      registration.spec !== undefined &&
      registration.spec.selector === undefined,
  );
  const living = pods.filter(({ deleting }) => !deleting).toSorted(byAge);
  const [oldest] = living;
  if (oldest === undefined) return { remove: ours, problems: [] };
  const [standing] = ours;
  const spec = readSpecAnnotations(withoutPodFields(oldest.annotations), defaults, standing?.spec);
  const person = personFor(serviceName, registrations, standing);
  if (person !== undefined) return { remove: ours, person, problems: spec.problems };
  const name = standing?.name ?? freeName(serviceName, hashHex(serviceName, 5), registrations);
  const remove = ours.filter((registration) => registration !== standing);
  if (name === undefined) return { remove, problems: spec.problems };
  const manifest = manifestOf(namespace, name, ownersOf(living), { serviceName, ...spec.spec });
  return { manifest, remove, problems: spec.problems };
};

/**
 * Our own resource for annotated pods was made for this one or its controller. Nobody knows what a `register` that is
 * neither "true" nor "false" wants, so such a pod stays with it.
 */
export const isMadeFor = ({ controller, uid }: PodView, { owned, ownerUids, spec }: RegistrationView): boolean =>
  owned && spec !== undefined && spec.selector === undefined && ownerUids.includes(controller?.uid ?? uid);

/**
 * Whether applying the manifest would change nothing. Fields and owners that others added do not count, because
 * applying never removes what another manager owns, and would be tried for ever: the owned reconciler restores those.
 */
export const isApplied = (manifest: ServiceRegistrationManifest, stored: RegistrationView | undefined): boolean => {
  const spec = stored?.spec;
  if (stored === undefined || spec === undefined || !stored.owned || stored.name !== manifest.metadata.name)
    return false;
  const uids = manifest.metadata.ownerReferences.map(({ uid }) => uid);
  return (
    specFields(manifest.spec).every((field) => sameJson(spec[field], manifest.spec[field])) &&
    uids.every((uid) => stored.ownerUids.includes(uid))
  );
};

const specFields = (spec: ServiceRegistrationSpec): readonly (keyof ServiceRegistrationSpec)[] =>
  specSchema.keyof().options.filter((field) => spec[field] !== undefined);

/**
 * Ours, that the workload's predecessor of the same name left without an owner (`kubectl delete --cascade=orphan`, the way to
 * change what cannot be changed of a StatefulSet).
 */
const isLeftTo = (workload: WorkloadView, { owned, ownerUids, name, spec }: RegistrationView): boolean => {
  if (!owned || ownerUids.length > 0) return false;
  const isNamedAfter = name === workload.name || SUFFIX.test(name.slice(workload.name.length));
  return isNamedAfter && name.startsWith(workload.name) && sameJson(spec?.selector, specSelector(workload.selector));
};

const SUFFIX = /^-[0-9a-f]{5}$/;

const suffixOf = (uid: string): string => uid.replaceAll('-', '').slice(0, 5);

/** One that is invalid registers nobody, and takes no place from ours that does. */
const personFor = (
  serviceName: string,
  registrations: readonly RegistrationView[],
  standing: RegistrationView | undefined,
): RegistrationView | undefined =>
  registrations.find(
    ({ owned, deleting, settings, serviceName: its }) =>
      !owned && !deleting && its === serviceName && (settings.kind === 'valid' || standing?.settings.kind !== 'valid'),
  );

const NAME_LENGTH_MAX = 253;

/** The name itself, or with the suffix when anything has it; undefined when both are taken. */
const freeName = (name: string, suffix: string, registrations: readonly RegistrationView[]): string | undefined => {
  const taken = new Set(registrations.map((registration) => registration.name));
  const suffixed = `${name.slice(0, NAME_LENGTH_MAX - 1 - suffix.length)}-${suffix}`;
  return [name, suffixed].find((candidate) => !taken.has(candidate));
};

const manifestOf = (
  namespace: string,
  name: string,
  ownerReferences: readonly OwnerReference[],
  spec: ServiceRegistrationSpec,
): ServiceRegistrationManifest => ({
  apiVersion: 'rollcall.dev/v1alpha1',
  kind: 'ServiceRegistration',
  metadata: { namespace, name, labels: { [MANAGED_BY_LABEL]: MANAGED_BY_VALUE }, ownerReferences },
  spec,
});

const specSelector = ({
  matchLabels,
  matchExpressions,
}: LabelSelector): NonNullable<ServiceRegistrationSpec['selector']> => ({
  ...(Object.keys(matchLabels).length === 0 ? {} : { matchLabels: { ...matchLabels } }),
  ...(matchExpressions.length === 0
    ? {}
    : {
        matchExpressions: matchExpressions.map(({ key, operator, values }) => ({
          key,
          operator,
          ...(values.length === 0 ? {} : { values: [...values] }),
        })),
      }),
});

const byAge = (a: PodView, b: PodView): number => a.createdAtMs - b.createdAtMs || (a.uid < b.uid ? -1 : 1);

/** The controllers of the oldest pods, each once, or the pods themselves. None is the controller: there can be many. */
const ownersOf = (pods: readonly PodView[]): readonly OwnerReference[] => {
  const owners = new Map<string, OwnerReference>();
  for (const pod of pods) {
    if (owners.size >= OWNERS_MAX) break;
    const { apiVersion, kind, name, uid } = pod.controller ?? {
      apiVersion: 'v1',
      kind: 'Pod',
      name: pod.name,
      uid: pod.uid,
    };
    owners.set(uid, { apiVersion, kind, name, uid, controller: false, blockOwnerDeletion: false });
  }
  return [...owners.values()];
};

const namelessProblem = (name: string): AnnotationProblem => ({
  annotation: 'service-name',
  value: '',
  message: `service-name must be given: "${name.slice(0, 64)}" does not fit as the name of a service.`,
});
