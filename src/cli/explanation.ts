// Why a pod is or is not in the registry: every rule that was asked, in order, and the one that decided. Made of what
// the rehearsed operator answers (`rehearsal.ts`) and of the key as it really stands. Pure.

import { workloadOf } from '../controllers/views.ts';
import type { Rule } from '../domain/decide.ts';
import { objectKey, type PodView } from '../domain/pod.ts';
import { asList, asObject, asText } from '../domain/raw.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { Row } from '../table/row.ts';
import type { BucketReport } from '../writer/registry.ts';
import { type OuterRule, type RuleContext, type RuleLine, ruleLine, wants } from './explain-rules.ts';
import { type Clocks, leftMsOf, type ReadEntry, type RegistryEntry } from './registry-entry.ts';
import type { Rehearsal } from './rehearsal.ts';
import { seconds } from './text.ts';

export type Explanation = {
  /** `namespace/name` */
  readonly pod: string;
  readonly registered: boolean;
  /** The rule that decided. */
  readonly decidedBy: Rule | OuterRule;
  readonly because: string;
  readonly advice?: string;
  readonly rules: readonly RuleLine[];
  readonly keys: readonly ExplainedKey[];
};

export type ExplainedKey = { readonly key: string; readonly registration: string; readonly stands: string };

/** What the rehearsal says of a pod, before its keys are read. */
export type Draft = {
  readonly pod: string;
  readonly rules: readonly RuleLine[];
  readonly wanted: readonly WantedKey[];
};

type WantedKey = {
  readonly key: string;
  readonly registration: string;
  readonly live: boolean;
  readonly problem: RuleLine | undefined;
};

export type BucketState =
  /** `unread`: why what stands in it could not be read. */
  | { readonly kind: 'reached'; readonly report: BucketReport; readonly clocks: Clocks; readonly unread?: string }
  | { readonly kind: 'unreachable'; readonly problem: string };

const QUOTA_ADVICE =
  'Ask whoever runs Rollcall for more (--quota-instances, --quota-services, --quota-bytes), or register less.';
const ADVICE_BUCKET = '`rollcall bucket check` says what is wrong with it.';
const ADVICE_UNREAD =
  'If a right is missing: docs/permissions.md has those of a NATS user. Else ask again in a moment.';

/** `registration` of rules that are asked of none comes first. */
export const draftOf = (pod: PodView, rehearsal: Rehearsal, prefix: string): Draft => {
  const { operator, views, cluster } = rehearsal;
  const registrations = [...views.registrations.byNamespace(pod.namespace)];
  const context: RuleContext = { pod, workload: workloadOf(views, pod), registrations, prefix };
  const asked = operator.asked(pod.key).map((one) => ruleLine(one, context));
  const statusOf = (registration: RegistrationView) =>
    asObject(cluster.statuses.get(registration.key) ?? registration.status);
  const denied = registrations
    .filter(({ key }) => asked.every(({ registration }) => registration !== key))
    .flatMap((registration) => deniedLine(pod, registration, statusOf(registration)) ?? []);
  const unmade = registrations
    .filter(({ key }) => cluster.applied.has(key) && asked.some((line) => isSelectedBy(line, key)))
    .flatMap((registration) => unmadeLine(registration) ?? []);
  const rows = [...operator.table.rows()].filter(
    ({ wish, farewell }) =>
      wish.pod.uid === pod.uid && objectKey(wish.pod.namespace, wish.pod.name) === pod.key && !farewell,
  );
  const wanted = rows.map((row): WantedKey => {
    const line = heldLine(row);
    return { key: row.key, registration: row.wish.registration, live: row.wish.state.kind === 'live', problem: line };
  });
  const blocked = registrations.flatMap((registration) => blockedLine(pod, registration, rehearsal) ?? []);
  return { pod: pod.key, rules: [...denied, ...asked, ...unmade, ...blocked], wanted };
};

/** `read`: what the bucket really holds under each wanted key. */
export const explanationOf = (
  draft: Draft,
  bucket: BucketState,
  read: ReadonlyMap<string, ReadEntry>,
  operatorId: string,
): Explanation => {
  const rules = [...draft.rules];
  const live = draft.wanted.filter(({ live }) => live);
  const standing = live.filter(({ key }) => isStanding(read.get(key), bucket, operatorId));
  if (live.length > 0) {
    for (const { problem } of live) if (problem !== undefined) rules.push(problem);
    const usable = bucketLine(bucket);
    rules.push(usable);
    for (const { key, registration, problem } of usable.passed ? live : []) {
      if (problem === undefined) rules.push(keyLine(key, registration, isStanding(read.get(key), bucket, operatorId)));
    }
  }
  const decisive = decisiveOf(
    rules,
    live.map(({ registration }) => registration),
    standing.length > 0,
  );
  const registered = standing.length > 0;
  return {
    pod: draft.pod,
    registered,
    decidedBy: decisive.rule,
    because: decisive.says,
    ...(decisive.advice === undefined ? {} : { advice: decisive.advice }),
    rules,
    keys: draft.wanted.map(({ key, registration }) => ({
      key,
      registration,
      stands: standsText(read.get(key), bucket, operatorId),
    })),
  };
};

/** A pod that the operator never looks at. */
export const refusal = (pod: string, rule: OuterRule, says: string, advice: string): Explanation => ({
  pod,
  registered: false,
  decidedBy: rule,
  because: says,
  advice,
  rules: [{ rule, passed: false, says, advice }],
  keys: [],
});

/**
 * Where the pod is registered, the last rule that it passed. Else the first that stopped it under a resource that wants
 * it. If none does, the rule that stopped it latest; one that is asked of the pod alone is the only one.
 */
const decisiveOf = (rules: readonly RuleLine[], wanting: readonly string[], registered: boolean): RuleLine => {
  const failed = rules.filter(({ passed, aside }) => !passed && aside !== true);
  const last = rules.at(-1);
  if (last === undefined) throw new Error('a pod without rules');
  if (registered) return rules.findLast(({ passed }) => passed) ?? last;
  const ofWanting = failed.find(({ registration }) => registration === undefined || wanting.includes(registration));
  if (wanting.length > 0 && ofWanting !== undefined) return ofWanting;
  return failed.toSorted((a, b) => rankOf(b.rule) - rankOf(a.rule))[0] ?? last;
};

/** How far a registration came with the pod before it stopped. Every rule of a pod has its place. */
const RANKS: Readonly<Record<Rule, number>> & Readonly<Partial<Record<OuterRule, number>>> = {
  RegistrationExists: 0,
  PodNotFinished: 1,
  PodNotKeptOut: 2,
  PodSelected: 3,
  RegistrationStays: 4,
  SpecValid: 5,
  NameGranted: 6,
  NoOlderRegistration: 7,
  RegistrationMade: 8,
  WithinQuota: 9,
  NotSuspended: 10,
  PodNotTerminating: 11,
  PodReady: 12,
  NodeHeard: 13,
  KeyFree: 14,
};

const rankOf = (rule: Rule | OuterRule): number => RANKS[rule] ?? -1;

const isSelectedBy = ({ rule, passed, registration }: RuleLine, key: string): boolean =>
  rule === 'PodSelected' && passed && registration === key;

const readyCondition = (status: ReturnType<typeof asObject>) =>
  asList(status?.['conditions'])
    .map(asObject)
    .find((condition) => condition?.['type'] === 'Ready');

/** Resources that the operator does not even ask, because they may not use their names: their status says why. */
const DENIED = {
  NameDenied: ['NameGranted', 'kubectl get servicenamepolicies says which names are granted to whom; docs/names.md.'],
  QuotaExceeded: ['WithinQuota', QUOTA_ADVICE],
  InvalidSpec: ['SpecValid', 'kubectl edit the resource.'],
} as const;

const deniedLine = (
  pod: PodView,
  registration: RegistrationView,
  status: ReturnType<typeof asObject>,
): RuleLine | undefined => {
  const ready = readyCondition(status);
  const reason = ready?.['reason'];
  if (reason !== 'NameDenied' && reason !== 'QuotaExceeded' && reason !== 'InvalidSpec') return undefined;
  const [rule, advice] = DENIED[reason];
  const says = `${registration.key}: ${asText(ready?.['message']) ?? reason}`;
  const line = { rule, passed: false, registration: registration.key, says, advice };
  return wants(registration, pod) ? line : { ...line, aside: true };
};

const unmadeLine = ({ key }: RegistrationView): RuleLine => ({
  rule: 'RegistrationMade',
  passed: false,
  registration: key,
  says: `The annotations ask for ${key}, which no operator has made, or brought up to date, yet.`,
  advice: 'Is an operator running, and does it lead? `rollcall doctor` says.',
});

const BLOCKED = {
  QuotaExceeded: ['WithinQuota', 'The namespace is over its quota, and older pods come first.', QUOTA_ADVICE],
  SameInstanceId: [
    'KeyFree',
    'An older pod comes to the same instance id and has the key.',
    'Use spec.instanceId: Generated, or give the pods different names.',
  ],
} as const;

/** Asked of the operator and not of the status, whose details end after so many pods. */
const blockedLine = (
  pod: PodView,
  { key }: RegistrationView,
  { operator }: Pick<Rehearsal, 'operator'>,
): RuleLine | undefined => {
  const reason = operator.hindrance(pod, key);
  if (reason === undefined) return undefined;
  const [rule, says, advice] = BLOCKED[reason];
  return { rule, passed: false, registration: key, says, advice };
};

const heldLine = ({ key, wish, observed }: Row): RuleLine | undefined => {
  if (wish.state.kind !== 'live' || observed.kind !== 'foreign' || wish.adopt) return undefined;
  return {
    rule: 'KeyFree',
    passed: false,
    registration: wish.registration,
    says: `The key ${key} is held by ${observed.owner}, and is left alone.`,
    advice:
      'Let the other one stop writing it: it is registered here within one refresh interval then. Or set spec.onConflict: Adopt, if the key is ours by right.',
  };
};

const bucketLine = (bucket: BucketState): RuleLine => {
  const line = { rule: 'BucketUsable' } as const;
  if (bucket.kind === 'unreachable') {
    const [says = ''] = bucket.problem.split('\n');
    return { ...line, passed: false, says: `The bucket could not be looked at: ${says}.`, advice: ADVICE_BUCKET };
  }
  const { report, unread } = bucket;
  if (report.kind === 'usable' && unread !== undefined)
    return { ...line, passed: false, says: `The bucket could not be read: ${unread}.`, advice: ADVICE_UNREAD };
  if (report.kind === 'usable') return { ...line, passed: true, says: 'The bucket will do.' };
  const says = report.kind === 'unsupported' ? report.reasons.join('; ') : report.description;
  return { ...line, passed: false, says: `The bucket will not do: ${says}.`, advice: ADVICE_BUCKET };
};

const keyLine = (key: string, registration: string, stands: boolean): RuleLine => {
  const line = { rule: 'KeyStands', registration } as const;
  return stands
    ? { ...line, passed: true, says: `Its key ${key} stands.` }
    : {
        ...line,
        passed: false,
        says: `Every rule is passed, and still its key ${key} does not stand.`,
        advice:
          'It may be about to be written: look again. If it stays so no operator leads, or it cannot write: `rollcall doctor`.',
      };
};

const isStanding = (read: ReadEntry | undefined, bucket: BucketState, operatorId: string): boolean =>
  read?.kind === 'entry' &&
  bucket.kind === 'reached' &&
  read.entry.owner?.operatorId === operatorId &&
  read.entry.status !== 'UNHEALTHY' &&
  leftMsOf(read.entry, bucket.clocks) > 0;

const standsText = (read: ReadEntry | undefined, bucket: BucketState, operatorId: string): string => {
  if (bucket.kind === 'unreachable') return 'not known: the bucket could not be read';
  if (bucket.unread !== undefined) return `not known: ${bucket.unread}`;
  switch (read?.kind) {
    case 'entry':
      return entryText(read.entry, bucket.clocks, operatorId);
    case 'unreadable':
      return 'a value that is no instance';
    case 'gone':
      return read.how === 'lapsed' ? 'nothing: it lapsed' : 'nothing: it was removed';
    case 'other':
    case undefined:
      return 'nothing';
  }
};

export const entryText = (entry: RegistryEntry, clocks: Clocks, operatorId: string): string => {
  const left =
    entry.ttlMs === undefined
      ? 'never lapses'
      : `${seconds(Math.round(leftMsOf(entry, clocks) / 100) * 100)} left of ${seconds(entry.ttlMs)}`;
  const { owner } = entry;
  const whose =
    owner === undefined
      ? 'written by a client that is not Rollcall'
      : owner.operatorId === operatorId
        ? `of this installation, for pod ${owner.namespace}/${owner.name}`
        : `of the installation ${owner.operatorId}, for pod ${owner.namespace}/${owner.name}`;
  const reason = entry.reason === '' ? '' : `, last written for ${entry.reason}`;
  return `${entry.status} ${entry.content.version}, ${left}, ${whose}${reason}`;
};
