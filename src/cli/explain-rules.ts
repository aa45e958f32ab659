// The rules that decide whether a pod has a key, in words: what each means when it is passed, when it is not, and what
// to do then. Which were asked, and what came of it, is the operator's own answer.

import { podServiceName, registerProblem } from '../domain/annotations.ts';
import type { Asked, Rule } from '../domain/decide.ts';
import type { PodView } from '../domain/pod.ts';
import { type LabelSelector, readSelector, selects } from '../domain/selector.ts';
import type { RegistrationView } from '../domain/service-registration.ts';
import type { WorkloadView } from '../domain/workload.ts';

/** Asked by others than `decide`: before it of the pod and its namespace, after it of the registry. */
export const OUTER_RULES = [
  'NamespaceIncluded',
  'PodExists',
  'RegistrationMade',
  'NameGranted',
  'WithinQuota',
  'KeyFree',
  'BucketUsable',
  'KeyStands',
] as const;

export type OuterRule = (typeof OUTER_RULES)[number];

export type RuleLine = {
  readonly rule: Rule | OuterRule;
  readonly passed: boolean;
  /** `namespace/name`; absent for rules that are asked of the pod alone. */
  readonly registration?: string;
  readonly says: string;
  /** What to do where it is not passed. */
  readonly advice?: string;
  /** Not passed by a resource that would not select the pod anyway: it decides nothing. */
  readonly aside?: boolean;
};

export type RuleContext = {
  readonly pod: PodView;
  readonly workload: WorkloadView | undefined;
  readonly registrations: readonly RegistrationView[];
  readonly prefix: string;
};

/** One rule of `decide` in words. */
export const ruleLine = ({ rule, passed, registration: key, winner }: Asked, context: RuleContext): RuleLine => {
  const registration = context.registrations.find((candidate) => candidate.key === key);
  const words = WORDS[rule]({ ...context, registration, winner: winner ?? '', name: key ?? '' });
  const line = { rule, passed, ...(key === undefined ? {} : { registration: key }) };
  if (passed) return { ...line, says: words.passed };
  const aside =
    ASKED_BEFORE_SELECTION.includes(rule) && registration !== undefined && !wants(registration, context.pod);
  return { ...line, says: words.failed, advice: words.advice, ...(aside ? { aside } : {}) };
};

/** A resource that goes, or that nobody can read, is not asked whom it selects. */
const ASKED_BEFORE_SELECTION: readonly Rule[] = ['RegistrationStays', 'SpecValid'];

/** Whether a resource means the pod, as far as that can be told of one that is invalid. */
export const wants = ({ settings, spec }: RegistrationView, pod: PodView): boolean => {
  if (settings.kind === 'invalid' && spec === undefined) return true;
  const selector = settings.kind === 'valid' ? settings.value.selector : spec?.selector && readSelector(spec.selector);
  return selector === undefined ? pod.annotations['register'] === 'true' : selects(selector, pod.labels);
};

type Words = { readonly passed: string; readonly failed: string; readonly advice: string };
type Facts = RuleContext & {
  readonly registration: RegistrationView | undefined;
  readonly winner: string;
  /** Of the registration. */
  readonly name: string;
};

const WORDS: Readonly<Record<Rule, (facts: Facts) => Words>> = {
  RegistrationExists: ({ pod, workload, registrations, prefix }) => ({
    passed: `There are ServiceRegistrations in namespace ${pod.namespace}: ${registrations.length}.`,
    failed: `Nothing asks for it: namespace ${pod.namespace} has no ServiceRegistration that counts, and ${wrongRegister(pod, workload, prefix) ?? `neither the pod nor its workload is annotated ${prefix}/register: "true"`}.`,
    advice: `${annotate(pod, workload, prefix)}, or make a ServiceRegistration whose selector matches the pod.`,
  }),
  PodNotFinished: ({ pod }) => ({
    passed: 'The pod has not ended.',
    failed: `The pod has ended: its phase is ${pod.phase}.`,
    advice: 'Nothing; a pod that has ended serves nobody.',
  }),
  PodNotKeptOut: ({ pod, workload, prefix }) => ({
    passed: `The pod is not annotated ${prefix}/register: "false".`,
    failed: `The pod is annotated ${prefix}/register: "false", which keeps it out whatever selects it.`,
    advice: `Remove the annotation from ${workload === undefined ? 'the pod' : `the pod template of ${objectOf(pod, workload)}`}.`,
  }),
  RegistrationStays: ({ name }) => ({
    passed: `${name} is not being deleted.`,
    failed: `${name} is being deleted, so it registers nobody any more.`,
    advice: 'Nothing, if that is wanted. If it hangs, see its finalizers.',
  }),
  SpecValid: ({ name, registration }) => ({
    passed: `The spec of ${name} is valid.`,
    failed: `The spec of ${name} is invalid: ${problemOf(registration)}. What is registered stays as it is until that is put right.`,
    advice: `kubectl -n ${registration?.namespace ?? ''} edit sreg ${registration?.name ?? ''}`,
  }),
  PodSelected: ({ name, pod, workload, registration, prefix }) => ({
    passed: `${name} selects the pod.`,
    failed: notSelected(name, pod, workload, registration, prefix),
    advice:
      registration?.settings.kind === 'valid' && registration.settings.value.selector === undefined
        ? `${annotate(pod, workload, prefix)}, if it is to be one of them.`
        : 'Change the labels in the pod template, or the selector of the resource.',
  }),
  NoOlderRegistration: ({ name, winner }) => ({
    passed: `No older resource registers the pod for the same service as ${name}.`,
    failed: `${winner} is older and registers the pod for the same service, so ${name} does not count for it.`,
    advice: `Make the selectors of ${winner} and ${name} exclude each other, or delete one of the two.`,
  }),
  NotSuspended: ({ name, registration }) => ({
    passed: `${name} is not suspended.`,
    failed: `${name} is suspended (spec.suspend: true): no key of it is written, and all of them lapse.`,
    advice: `kubectl -n ${registration?.namespace ?? ''} patch sreg ${registration?.name ?? ''} --type=merge --patch '{"spec":{"suspend":false}}'`,
  }),
  PodNotTerminating: () => ({
    passed: 'The pod is not being deleted.',
    failed: 'The pod is being deleted.',
    advice: 'Nothing; its successor is registered when it is Ready.',
  }),
  PodReady: ({ pod }) => ({
    passed: 'The pod is Ready.',
    failed: `The pod is not Ready (phase ${pod.phase}).`,
    advice: `kubectl -n ${pod.namespace} describe pod ${pod.name}: its conditions and events say what it waits for.`,
  }),
  NodeHeard: ({ pod: { node = 'none' } }) => ({
    passed: `Its node ${node} is heard, or nothing is concluded from its silence.`,
    failed: `Its node ${node} does not renew its lease, so the pod counts as not Ready, whatever Kubernetes says of it.`,
    advice: `kubectl describe node ${node}, and kubectl -n kube-node-lease get lease ${node}: registered again as soon as the kubelet renews it. Where nodes' silence should not count: spec.nodeLoss: PodReadiness.`,
  }),
};

const problemOf = (registration: RegistrationView | undefined): string =>
  registration?.settings.kind === 'invalid' ? registration.settings.problem : 'unknown';

const objectOf = (pod: PodView, workload: WorkloadView | undefined): string =>
  workload === undefined ? `pod/${pod.name}` : `${workload.kind.toLowerCase()}/${workload.name}`;

const annotate = (pod: PodView, workload: WorkloadView | undefined, prefix: string): string => {
  const overwrite = wrongRegister(pod, workload, prefix) === undefined ? '' : '--overwrite ';
  return `kubectl -n ${pod.namespace} annotate ${overwrite}${objectOf(pod, workload)} ${prefix}/register=true`;
};

/** What an annotation says that is neither true nor false, and where; undefined when there is no such. */
const wrongRegister = (pod: PodView, workload: WorkloadView | undefined, prefix: string): string | undefined => {
  const wrong = [
    [objectOf(pod, undefined), pod.annotations] as const,
    [objectOf(pod, workload), workload?.annotations ?? {}] as const,
  ].flatMap(([object, annotations]) => registerProblem(annotations).map(({ value }) => ({ object, value })));
  const [first] = wrong;
  return first === undefined
    ? undefined
    : `${first.object} is annotated ${prefix}/register: ${JSON.stringify(first.value)}, which must be "true" or "false" and asks for nothing`;
};

const notSelected = (
  name: string,
  pod: PodView,
  workload: WorkloadView | undefined,
  registration: RegistrationView | undefined,
  prefix: string,
): string => {
  if (registration?.settings.kind !== 'valid') return `${name} does not select the pod.`;
  const { selector, serviceName } = registration.settings.value;
  if (selector !== undefined) {
    return `The selector of ${name} (${selectorText(selector)}) does not match the pod's labels (${labelsText(pod.labels)}).`;
  }
  const gathers = `${name} has no selector: it takes the pods annotated ${prefix}/register: "true" that name the service ${serviceName}`;
  if (pod.annotations['register'] !== 'true')
    return `${gathers}; ${wrongRegister(pod, workload, prefix) ?? 'this one is not annotated'}.`;
  return `${gathers}; this one names ${podServiceName(pod, workload?.name ?? pod.controller?.name) ?? 'none'}.`;
};

const selectorText = ({ matchLabels, matchExpressions }: LabelSelector): string =>
  [
    ...Object.entries(matchLabels).map(([key, value]) => `${key}=${value}`),
    ...matchExpressions.map(({ key, operator, values }) => `${key} ${operator} ${values.join('|')}`.trim()),
  ].join(', ') || 'everything';

const LABELS_SHOWN = 6;

const labelsText = (labels: Readonly<Record<string, string>>): string => {
  const texts = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return texts.length === 0
    ? 'none'
    : `${texts.slice(0, LABELS_SHOWN).join(', ')}${texts.length > LABELS_SHOWN ? ', …' : ''}`;
};
