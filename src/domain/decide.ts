// What the registry should hold for one pod: a pure function of the pod and its namespace's registrations. No time, no
// table, no registry: two replicas with the same view come to the same answer.
//
//   the pod                                          its wish under a registration that selects it
//   ------------------------------------------------ ---------------------------------------------
//   annotated register: "false"; Succeeded, Failed   none
//   deletionTimestamp set                            away, Terminating
//   not Ready                                        away, PodNotReady
//   Ready, its node silent                           away, NodeSilent
//   Ready, or said to be not only for its node,
//     which is held                                  live
//   Ready                                            live
//   the registration is suspended                    away, Suspended, by Lapse

import {
  type AnnotationProblem,
  type PodOverrides,
  podServiceName,
  problem,
  readPodAnnotations,
  serviceNameProblem,
} from './annotations.ts';
import type { SpecDefaults } from './crd-schema.ts';
import type { Wish } from './instance.ts';
import { annotatedMetadataOf, inOrderOfKeys, reservedMetadata, usersMetadata } from './instance-metadata.ts';
import { HEARD, type NodeVerdict, verdictFor } from './node-loss.ts';
import { isMadeFor } from './owned-registration.ts';
import type { ObjectKey, PodView } from './pod.ts';
import { resolvePort } from './port.ts';
import { selects } from './selector.ts';
import type { RegistrationView } from './service-registration.ts';
import { type Defaults, resolveSettings, type Settings } from './settings.ts';
import type { Offset } from './timestamp.ts';
import { resolveVersion } from './version.ts';

export type DecideOptions = {
  /** Of `start_time`, the same as the heartbeat's. */
  readonly offset: Offset;
  /** The name of the Deployment, StatefulSet or DaemonSet that controls the pod, if one does. */
  readonly workloadName?: string;
  /** What counts where a registration by hand leaves a field out, when the pod's workload has a word in it. */
  readonly workloadDefaults?: Defaults;
  /** The name of a service of this namespace in the registry; absent: the service's own. */
  readonly registryName?: (serviceName: string) => string;
  /** Whether the table holds this pod under this registration; tells what an invalid one, or wish, still counts for. */
  readonly holds?: (registration: ObjectKey) => boolean;
  /** What the pod's annotations said when its wish under this service of the registry was last made. */
  readonly lastGood?: (serviceName: string) => SpecDefaults | undefined;
  /** What a pod that speaks for itself says beside version, port and metadata; it is in `workloadDefaults` already. */
  readonly podLayer?: SpecDefaults;
  /** What is known of the pod's node; absent: it is heard. */
  readonly node?: NodeVerdict;
  /** Told of each rule as it is asked; for people who want to know why. */
  readonly trace?: (asked: Asked) => void;
};

/** What a pod must fulfil, in the order in which it is asked; from `RegistrationStays` on once per registration. */
export const RULES = [
  'RegistrationExists',
  'PodNotFinished',
  'PodNotKeptOut',
  'RegistrationStays',
  'SpecValid',
  'PodSelected',
  'NoOlderRegistration',
  'NotSuspended',
  'PodNotTerminating',
  'PodReady',
  'NodeHeard',
] as const;

export type Rule = (typeof RULES)[number];

export type Asked = {
  readonly rule: Rule;
  readonly passed: boolean;
  /** Absent for rules that are asked of the pod alone. */
  readonly registration?: ObjectKey;
  /** The older registration that has the pod. */
  readonly winner?: ObjectKey;
};

/** Two resources of one service select the pod: the older one counts, `registration` is the other. */
export type SelectedTwice = {
  readonly registration: ObjectKey;
  readonly winner: ObjectKey;
  readonly serviceName: string;
};

export type Decision = {
  readonly wishes: readonly Wish[];
  readonly conflicts: readonly SelectedTwice[];
  /** Registrations whose spec is invalid: what the table has for this pod under them becomes `frozenWish`. */
  readonly frozen: readonly ObjectKey[];
  readonly problems: readonly AnnotationProblem[];
};

type Candidate = {
  readonly registration: RegistrationView;
  readonly settings: Settings;
  /** In the registry. */
  readonly serviceName: string;
};

const NOTHING: Decision = { wishes: [], conflicts: [], frozen: [], problems: [] };

/** `registrations`: those of the pod's namespace, in any order; fastest in that of `byAge`. */
export const decide = (pod: PodView, registrations: readonly RegistrationView[], options: DecideOptions): Decision => {
  const ask = (rule: Rule, passed: boolean, registration?: ObjectKey, winner?: ObjectKey): boolean => {
    options.trace?.({ rule, passed, ...(registration && { registration }), ...(winner && { winner }) });
    return passed;
  };
  const finished = pod.phase === 'Succeeded' || pod.phase === 'Failed';
  const overrides = readPodAnnotations(pod.annotations);
  const keptOut = overrides.register === 'no';
  if (!ask('RegistrationExists', registrations.length > 0))
    return finished || keptOut ? NOTHING : { ...NOTHING, problems: overrides.problems };
  if (!ask('PodNotFinished', !finished)) return NOTHING;
  if (!ask('PodNotKeptOut', !keptOut)) return NOTHING;

  const wishes: Wish[] = [];
  const conflicts: SelectedTwice[] = [];
  const frozen: ObjectKey[] = [];
  const problems: AnnotationProblem[] = [...overrides.problems];
  const winners = new Map<string, ObjectKey>();
  const inRegistry = (serviceName: string) => options.registryName?.(serviceName) ?? serviceName;
  let named = false;
  for (const registration of sorted(registrations)) {
    const { key } = registration;
    if (!ask('RegistrationStays', !registration.deleting, key)) continue;
    ask('SpecValid', registration.settings.kind === 'valid', key);
    if (registration.settings.kind === 'invalid') {
      frozen.push(registration.key);
      const held = options.holds?.(registration.key) ?? false;
      const { serviceName } = registration;
      if (held && serviceName !== undefined) claim(winners, inRegistry(serviceName), registration.key);
      continue;
    }
    const stated = registration.settings.value;
    const annotated =
      overrides.register === 'yes' ||
      (overrides.register === 'invalid' && ((options.holds?.(key) ?? false) || isMadeFor(pod, registration)));
    const selected = isSelected(pod, stated, annotated, options.workloadName);
    if (!ask('PodSelected', selected, key)) continue;
    named ||= stated.selector === undefined;
    const serviceName = inRegistry(stated.serviceName);
    const winner = claim(winners, serviceName, registration.key);
    if (ask('NoOlderRegistration', winner === key, key, winner)) {
      const settings = settingsOf({ registration, settings: stated }, options.workloadDefaults, problems);
      const wish = wishFor(pod, { registration, settings, serviceName }, overrides, options, problems);
      wishes.push(wish);
      askState((rule, passed) => ask(rule, passed, key), wish);
    } else if (!isGathering(registration)) conflicts.push({ registration: registration.key, winner, serviceName });
  }
  if (named) problems.push(...serviceNameProblem(pod.annotations));
  return { wishes, conflicts, frozen, problems: withoutRepeats(problems) };
};

/**
 * What becomes of a held wish whose registration has turned invalid: its settings and content stay, but a pod that is
 * no longer Ready must not be shown as if it were.
 */
export const frozenWish = (held: Wish, pod: PodView, node: NodeVerdict = HEARD): Wish =>
  held.state.kind === 'away' && held.state.reason === 'Suspended'
    ? held
    : { ...held, state: podState(pod, held.nodeLoss === 'NodeLease' ? node : HEARD) };

/** The older counts, whatever the order of reading. Last come those that gather what no workload's resource has. */
export const byAge = (a: RegistrationView, b: RegistrationView): number =>
  Number(isGathering(a)) - Number(isGathering(b)) || a.createdAtMs - b.createdAtMs || (a.name < b.name ? -1 : 1);

/** A namespace's list is asked once per pod: whoever keeps it keeps it sorted, and then looking is all it costs. */
const sorted = (registrations: readonly RegistrationView[]): readonly RegistrationView[] =>
  registrations.every((one, i) => {
    const previous = registrations[i - 1];
    return previous === undefined || byAge(previous, one) < 0;
  })
    ? registrations
    : registrations.toSorted(byAge);

/**
 * Our own resource for annotated pods without an annotated workload. It names no pods, so the pods of a workload of the
 * same service fall to it as well; that those are taken is no conflict that a person could do anything about.
 */
const isGathering = ({ owned, settings }: RegistrationView): boolean =>
  owned && settings.kind === 'valid' && settings.value.selector === undefined;

/** Under every registration that selects the pod an annotation is as wrong as under the first. */
const withoutRepeats = (problems: readonly AnnotationProblem[]): readonly AnnotationProblem[] =>
  problems.filter(({ annotation }, i) => problems.findIndex((other) => other.annotation === annotation) === i);

/** The first to claim a service has it. */
const claim = (winners: Map<string, ObjectKey>, serviceName: string, registration: ObjectKey): ObjectKey => {
  const winner = winners.get(serviceName) ?? registration;
  winners.set(serviceName, winner);
  return winner;
};

const isSelected = (pod: PodView, settings: Settings, annotated: boolean, workloadName: string | undefined): boolean =>
  settings.selector === undefined
    ? annotated && podServiceName(pod, workloadName) === settings.serviceName
    : selects(settings.selector, pod.labels);

/** An owned registration says itself what its workload's annotations say. */
const settingsOf = (
  { registration, settings }: Omit<Candidate, 'serviceName'>,
  workloadDefaults: Defaults | undefined,
  problems: AnnotationProblem[],
): Settings => {
  if (workloadDefaults === undefined || registration.owned || registration.spec === undefined) return settings;
  const resolved = resolveSettings(registration.spec, settings.serviceName, workloadDefaults);
  if (resolved.kind === 'valid') return resolved.value;
  // The one thing that can be wrong between layers that are right by themselves.
  problems.push({
    annotation: 'ttl',
    value: `${workloadDefaults.ttlSeconds}`,
    message: `ttl is ignored: it must be at least three times the refresh interval that ServiceRegistration ${registration.name} states, ${settings.refreshIntervalSeconds} s.`,
  });
  const { ttlSeconds } = settings;
  const without = resolveSettings(registration.spec, settings.serviceName, { ...workloadDefaults, ttlSeconds });
  return without.kind === 'valid' ? without.value : settings;
};

const wishFor = (
  pod: PodView,
  { registration, settings, serviceName }: Candidate,
  read: PodOverrides,
  { offset, lastGood: lastGoodOf, podLayer, node = HEARD }: DecideOptions,
  problems: AnnotationProblem[],
): Wish => {
  const lastGood = lastGoodOf?.(serviceName);
  // Read once more only where something is wrong: nearly always nothing is.
  const keeps = lastGood !== undefined && read.problems.length > 0;
  const overrides = keeps ? readPodAnnotations(pod.annotations, lastGood) : read;
  const { version, sourceVersion, note } = resolveVersion(pod, settings.version, overrides.version);
  const annotatedPort = annotatedPortOf(pod, overrides.port, lastGood?.port, problems);
  const port = resolvePort(pod, annotatedPort ?? settings.port);
  const users = usersMetadata(pod, settings);
  const annotatedMetadata = annotatedMetadataOf(pod, users, overrides.metadata, lastGood?.metadata, problems);
  const annotated: SpecDefaults = {
    ...podLayer,
    ...(overrides.version === undefined ? {} : { version: { value: overrides.version } }),
    ...(annotatedPort === undefined ? {} : { port: annotatedPort }),
    ...(Object.keys(annotatedMetadata).length === 0 ? {} : { metadata: annotatedMetadata }),
  };
  return {
    pod: { namespace: pod.namespace, name: pod.name, uid: pod.uid },
    registration: registration.key,
    serviceName,
    instanceIdMode: settings.instanceId,
    keyLayout: settings.keyLayout,
    whenNotReady: settings.suspend ? 'Lapse' : settings.whenNotReady,
    adopt: settings.onConflict === 'Adopt',
    apiOutage: settings.apiOutage,
    nodeLoss: settings.nodeLoss,
    ttlMs: settings.ttlSeconds * 1000,
    intervalMs: settings.refreshIntervalSeconds * 1000,
    content: {
      serviceName,
      version,
      stickyActiveGroup: settings.stickyActiveGroup ?? null,
      metadata: inOrderOfKeys(reservedMetadata(pod, port, sourceVersion, offset), { ...users, ...annotatedMetadata }),
    },
    ...(Object.keys(annotated).length === 0 ? {} : { annotated }),
    ...(note === undefined ? {} : { versionNote: note }),
    state: stateOf(pod, settings, verdictFor(node, registration)),
    ...graceOf(pod, settings),
    podCreatedAtMs: pod.createdAtMs,
    readySinceMs: pod.readyChangedAtMs ?? pod.createdAtMs,
  };
};

const stateOf = (pod: PodView, { suspend, nodeLoss }: Settings, node: NodeVerdict): Wish['state'] =>
  suspend ? { kind: 'away', reason: 'Suspended' } : podState(pod, nodeLoss === 'NodeLease' ? node : HEARD);

/** Which rule each state of a wish answers to, in the order in which `stateOf` asks. */
const STATE_RULES = [
  ['Suspended', 'NotSuspended'],
  ['Terminating', 'PodNotTerminating'],
  ['PodNotReady', 'PodReady'],
  ['NodeSilent', 'NodeHeard'],
] as const;

const askState = (ask: (rule: Rule, passed: boolean) => boolean, { state }: Wish): void => {
  for (const [reason, rule] of STATE_RULES) {
    if (!ask(rule, state.kind === 'live' || state.reason !== reason)) return;
  }
};

/** Says how long, not until when: there is no time here. */
const graceOf = (pod: PodView, { notReadyGraceSeconds }: Settings): Pick<Wish, 'grace'> => {
  if (notReadyGraceSeconds === 0) return {};
  const ms = notReadyGraceSeconds * 1_000;
  const sinceMs = pod.ready ? undefined : pod.readyChangedAtMs;
  return { grace: sinceMs === undefined ? { ms } : { ms, notReadySinceMs: sinceMs } };
};

const podState = ({ deleting, ready, unreadyByNode }: PodView, node: NodeVerdict): Wish['state'] => {
  if (deleting) return { kind: 'away', reason: 'Terminating' };
  // So that the reason stays the same when the node controller has its say, too.
  if (node.kind === 'silent' && (ready || unreadyByNode)) return { kind: 'away', reason: 'NodeSilent' };
  return ready || (node.kind === 'held' && unreadyByNode) ? { kind: 'live' } : { kind: 'away', reason: 'PodNotReady' };
};

/** A name that no container declares is no good either. */
const annotatedPortOf = (
  pod: PodView,
  port: string | number | undefined,
  lastGood: string | number | undefined,
  problems: AnnotationProblem[],
): string | number | undefined => {
  if (port === undefined || resolvePort(pod, port) !== undefined) return port;
  problems.push(problem(pod.annotations, 'port', 'must be the name of a port that a container of the pod declares'));
  return lastGood;
};
