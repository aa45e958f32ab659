// `rollcall explain`: why a pod, the pods of a workload or of a resource, or a key, is or is not in the registry. The
// rules are the operator's own, played through on what is there now; the key is what really stands.

import type { Config } from '../config.ts';
import { workloadOf } from '../controllers/views.ts';
import { parseInstanceKey } from '../domain/names.ts';
import { objectKey, type PodView } from '../domain/pod.ts';
import { asList, asObject, asText } from '../domain/raw.ts';
import type { WorkloadKind } from '../domain/workload.ts';
import { currentNamespace } from '../kubernetes/credentials.ts';
import { RegistryError } from '../writer/registry.ts';
import { CommandError, type Format, type Io, printData, UsageError } from './command.ts';
import {
  type BucketState,
  type Draft,
  draftOf,
  type Explanation,
  entryText,
  explanationOf,
  refusal,
} from './explanation.ts';
import { explanationLines, overviewLines } from './explanation-text.ts';
import { type ReadEntry, readEntry } from './registry-entry.ts';
import type { Rehearsal } from './rehearsal.ts';
import { clocksOf, rehearseScene, type Scene, withScene } from './scene.ts';

export type ExplainOptions = {
  readonly target: string;
  readonly namespace: string | undefined;
  readonly format: Format;
};

type Target =
  | { readonly kind: 'pod' | 'registration'; readonly name: string }
  | { readonly kind: 'workload'; readonly workload: Exclude<WorkloadKind, 'ReplicaSet'>; readonly name: string }
  | { readonly kind: 'key'; readonly key: string };

const KINDS: Readonly<Record<string, (name: string) => Target>> = {
  pod: (name) => ({ kind: 'pod', name }),
  deployment: (name) => ({ kind: 'workload', workload: 'Deployment', name }),
  statefulset: (name) => ({ kind: 'workload', workload: 'StatefulSet', name }),
  daemonset: (name) => ({ kind: 'workload', workload: 'DaemonSet', name }),
  serviceregistration: (name) => ({ kind: 'registration', name }),
};

/** As kubectl has them. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  po: 'pod',
  pods: 'pod',
  deploy: 'deployment',
  deployments: 'deployment',
  sts: 'statefulset',
  statefulsets: 'statefulset',
  ds: 'daemonset',
  daemonsets: 'daemonset',
  sreg: 'serviceregistration',
  serviceregistrations: 'serviceregistration',
};

const FORMS = 'pod/NAME, deploy/NAME, sts/NAME, ds/NAME, sreg/NAME, or a key such as service-instances.SERVICE.ID';

/** @throws UsageError */
export const parseTarget = (text: string): Target => {
  if (parseInstanceKey(text) !== undefined) return { kind: 'key', key: text };
  const [kind = '', name, ...rest] = text.split('/');
  const known = SHORT_NAMES[kind.toLowerCase()] ?? kind.toLowerCase();
  const make = Object.hasOwn(KINDS, known) ? KINDS[known] : undefined;
  if (make === undefined || !name || rest.length > 0) {
    throw new UsageError(`"${text}" is nothing that can be explained: give ${FORMS}`);
  }
  return make(name);
};

/** Resolves with the exit code. */
export const runExplain = async (config: Config, options: ExplainOptions, io: Io): Promise<number> => {
  const target = parseTarget(options.target);
  const namespace = options.namespace ?? (await namespaceOf(config)) ?? 'default';
  return withScene(config, namespace, io, async (scene) => {
    const tell = (explanations: readonly Explanation[], preface: readonly string[]) => {
      if (options.format !== 'table') return io.print(printData(explanations, options.format));
      const [only] = explanations;
      const lines =
        explanations.length === 1 && only !== undefined ? explanationLines(only) : overviewLines(explanations);
      return io.print(`${[...preface, ...lines].join('\n')}\n`);
    };
    for (const gap of scene.gaps) io.complain(`${gapText(gap.resource, gap.kind, namespace)}\n`);
    if (target.kind === 'key') {
      const { explanations, preface } = await explainKey(scene, target.key);
      tell(explanations, preface);
      return 0;
    }
    const leftOut = leftOutText(config, namespace);
    if (leftOut !== undefined) {
      const advice = 'Move the workload, or change the setting of the operator.';
      tell([refusal(`${namespace}/${target.name}`, 'NamespaceIncluded', leftOut, advice)], []);
      return 0;
    }
    const { explanations, preface } = await explainObject(scene, target, namespace);
    tell(explanations, preface);
    return 0;
  });
};

/** Why no pod of a namespace is ever registered; undefined where they are. */
const leftOutText = ({ namespace: only, excludeNamespace }: Config, namespace: string): string | undefined => {
  if (only.length > 0 && !only.includes(namespace)) {
    return `The operator watches other namespaces only (--namespace ${only.join(',')}), not ${namespace}.`;
  }
  return excludeNamespace.includes(namespace)
    ? `Namespace ${namespace} is excluded (--exclude-namespace ${excludeNamespace.join(',')}): no pod of it is ever registered.`
    : undefined;
};

const namespaceOf = ({ kubeconfig, context }: Config): Promise<string | undefined> =>
  currentNamespace({ kubeconfig, context }).catch((error: unknown) => {
    throw new CommandError(`no way to the API server: ${error instanceof Error ? error.message : String(error)}`);
  });

const gapText = (resource: string, kind: 'narrowed' | 'denied' | 'missing', namespace: string): string => {
  if (kind === 'narrowed') return `note: ${resource} of namespace ${namespace} only; you may not list those of others`;
  if (kind === 'denied') return `note: you may not list ${resource}; what they say is left out`;
  return `note: the API server does not know ${resource}: apply the CRDs (crds/)`;
};

/** @throws CommandError when there is no such object */
const podsOf = (
  { views }: Rehearsal,
  target: Exclude<Target, { kind: 'key' }>,
  namespace: string,
): readonly PodView[] => {
  const key = objectKey(namespace, target.name);
  const absent = (what: string) =>
    new CommandError(`there is no ${what} ${target.name} in namespace ${namespace} (-n gives another)`);
  switch (target.kind) {
    case 'pod': {
      const pod = views.pods.get(key);
      if (pod === undefined) throw absent('pod');
      return [pod];
    }
    case 'workload': {
      const workload = views.workloads[target.workload].get(key);
      if (workload === undefined) throw absent(target.workload.toLowerCase());
      const pods = [...views.pods.byNamespace(namespace)].filter((pod) => workloadOf(views, pod)?.uid === workload.uid);
      if (pods.length === 0)
        throw new CommandError(`${target.workload.toLowerCase()} ${target.name} in namespace ${namespace} has no pods`);
      return pods.toSorted(byName);
    }
    case 'registration':
      return candidatesOf(views, key, absent);
  }
};

const byName = (a: PodView, b: PodView): number => (a.name < b.name ? -1 : 1);

/** All of its namespace: which of them it selects is for the operator to say. */
const candidatesOf = (
  views: Rehearsal['views'],
  key: ReturnType<typeof objectKey>,
  absent: (what: string) => CommandError,
): readonly PodView[] => {
  const registration = views.registrations.get(key);
  if (registration === undefined) throw absent('ServiceRegistration');
  return [...views.pods.byNamespace(registration.namespace)].toSorted(byName);
};

const explainObject = async (
  scene: Scene,
  target: Exclude<Target, { kind: 'key' }>,
  namespace: string,
): Promise<Explained> => {
  const { drafts, preface } = await rehearseScene(scene, (rehearsal) => {
    const pods = podsOf(rehearsal, target, namespace);
    const drafts = pods.map((pod) => draftOf(pod, rehearsal, scene.config.annotationPrefix));
    if (target.kind !== 'registration') return { drafts, preface: [] };
    const key = objectKey(namespace, target.name);
    const selected = drafts.filter(({ rules }) =>
      rules.some(({ rule, passed, registration }) => rule === 'PodSelected' && passed && registration === key),
    );
    return { drafts: selected.map((draft) => under(draft, key)), preface: [...statusLines(rehearsal, key), ''] };
  });
  return { explanations: await finish(scene, drafts), preface };
};

/** Asked of a resource, what others do for the pod is no answer. */
const under = ({ pod, rules, wanted }: Draft, key: ReturnType<typeof objectKey>): Draft => ({
  pod,
  rules: rules.filter(({ registration }) => registration === undefined || registration === key),
  wanted: wanted.filter(({ registration }) => registration === key),
});

/** What its status says; where none was written yet, what the operator would write. */
const statusLines = ({ views, cluster }: Rehearsal, key: ReturnType<typeof objectKey>): readonly string[] => {
  const status = asObject(views.registrations.get(key)?.status ?? cluster.statuses.get(key));
  const conditions = asList(status?.['conditions']).map(asObject);
  const told = conditions.filter((condition) => condition?.['type'] === 'Ready' || condition?.['status'] === 'True');
  return [
    `ServiceRegistration ${key}`,
    ...told.map((one) => {
      const said = (field: string) => asText(one?.[field]) ?? '';
      return `  ${said('type')}=${said('status')} ${said('reason')}: ${said('message')}`;
    }),
  ];
};

const finish = async (scene: Scene, drafts: readonly Draft[]): Promise<readonly Explanation[]> => {
  const keys = drafts.flatMap(({ wanted }) => wanted.map(({ key }) => key));
  const { read, unread } = await readKeys(scene, keys);
  const state = stateOf(scene, unread);
  return drafts.map((draft) => explanationOf(draft, state, read, scene.operatorId));
};

const stateOf = ({ bucket }: Scene, unread: string | undefined): BucketState => {
  if (bucket.kind === 'unreachable') return bucket;
  const reached = { kind: 'reached', report: bucket.report, clocks: clocksOf(bucket) } as const;
  return unread === undefined ? reached : { ...reached, unread };
};

type ReadKeys = {
  readonly read: ReadonlyMap<string, ReadEntry>;
  /** Why they could not be read. */
  readonly unread: string | undefined;
};

export const readKeys = async (
  { bucket, config, signal }: Pick<Scene, 'bucket' | 'config' | 'signal'>,
  keys: readonly string[],
): Promise<ReadKeys> => {
  const read = new Map<string, ReadEntry>();
  if (bucket.kind === 'unreachable' || keys.length === 0) return { read, unread: undefined };
  try {
    const messages = await bucket.registry.read(
      keys.map((key) => `$KV.${config.bucket}.${key}`),
      signal,
    );
    messages.forEach((message, index) => {
      const key = keys[index];
      if (message !== undefined && key !== undefined) read.set(key, readEntry(message, config.bucket));
    });
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    // In a bucket that is not there nothing stands.
    if (error.kind !== 'missing') return { read, unread: error.message };
  }
  return { read, unread: undefined };
};

type Explained = { readonly explanations: readonly Explanation[]; readonly preface: readonly string[] };

/** Whose a key is, and why that pod has it. */
const explainKey = async (scene: Scene, key: string): Promise<Explained> => {
  const { bucket, operatorId } = scene;
  if (bucket.kind === 'unreachable') throw new CommandError(bucket.problem);
  const { read, unread } = await readKeys(scene, [key]);
  const found = read.get(key);
  const entry = found?.kind === 'entry' ? found.entry : undefined;
  const nothing = unread === undefined ? 'nothing that is an instance' : `what is not known: ${unread}`;
  const holds = entry === undefined ? nothing : entryText(entry, clocksOf(bucket), operatorId);
  const preface = [`key ${key} holds ${holds}`, ''];
  const drafts = await rehearseScene(scene, (rehearsal) => {
    const ours = entry?.owner?.operatorId === operatorId ? entry.owner : undefined;
    const wanting = [...rehearsal.operator.table.rows()].find((row) => row.key === key && !row.farewell)?.wish.pod;
    const ref = wanting ?? ours;
    const pod = ref === undefined ? undefined : rehearsal.views.pods.get(objectKey(ref.namespace, ref.name));
    return pod === undefined || pod.uid !== ref?.uid ? [] : [draftOf(pod, rehearsal, scene.config.annotationPrefix)];
  });
  if (drafts.length > 0) return { explanations: await finish(scene, drafts), preface };
  const owner = entry?.owner;
  const says =
    owner === undefined
      ? 'No pod of this cluster comes to this key.'
      : `Its pod ${owner.namespace}/${owner.name} (UID ${owner.uid}) is not in this cluster${owner.operatorId === operatorId ? ' any more: the key lapses, or is of another cluster with the same operator id' : ''}.`;
  const pod = owner === undefined ? 'none' : `${owner.namespace}/${owner.name}`;
  return { explanations: [refusal(pod, 'PodExists', says, '`rollcall doctor` finds what should not be.')], preface };
};
