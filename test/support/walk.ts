// A walk of random edits through everything that a user can write: resources, annotations, scale, labels, readiness.
// Plain states and steps between them; who makes a cluster follow a state is the test's business. The oracle (Acto's):
// whatever the way was, its end must look like the last state applied to an empty cluster.

import type { Random } from '../../src/clock.ts';

export type Texts = Readonly<Record<string, string>>;
export type SpecFields = Readonly<Record<string, unknown>>;

export type WalkPod = {
  /** Counts how often the name was used: another number is another pod. */
  readonly incarnation: number;
  /** When it came, counted over the whole walk: the older of two counts. */
  readonly born: number;
  readonly labels: Texts;
  /** Without the prefix, but for names with a slash, which are whole. */
  readonly annotations: Texts;
  readonly ready: boolean;
};

export type WalkResource = { readonly incarnation: number; readonly born: number; readonly spec: SpecFields };

export type WalkState = {
  /** Counts edits. */
  readonly step: number;
  /** ServiceRegistrations of a person, by name. */
  readonly resources: Readonly<Record<string, WalkResource>>;
  /** An annotated Deployment called `gamma`; its pods bear `app: gamma`. */
  readonly deployment?: {
    readonly incarnation: number;
    readonly born: number;
    readonly annotations: Texts;
    readonly replicas: number;
    /** Of the pod template: another `born` is another generation of pods. */
    readonly template: { readonly born: number; readonly annotations: Texts };
  };
  /** Bare pods by name. */
  readonly pods: Readonly<Record<string, WalkPod>>;
  /** Of the namespace. */
  readonly annotations: Texts;
};

export const EMPTY: WalkState = { step: 0, resources: {}, pods: {}, annotations: {} };

/** As they are written on an object. */
export const annotationsOf = (texts: Texts): Texts =>
  Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name.includes('/') ? name : `rollcall.dev/${name}`, text]),
  );

const pick = <T>(random: Random, items: readonly [T, ...T[]]): T =>
  items[Math.floor(random() * items.length)] ?? items[0];

const BUILD = 'example.com/build';

/** TTLs short enough that a test against real servers can wait for their end. */
const FIELDS: Readonly<Record<string, readonly [unknown, ...unknown[]]>> = {
  ttlSeconds: [3, 4, 6],
  refreshIntervalSeconds: [1, 2],
  instanceId: ['Generated', 'PodName'],
  version: [{ value: 'v2.1' }, { fromLabel: 'track' }, { fromAnnotation: BUILD }, { fromImageTag: 'app' }],
  port: ['http', 9090, 'absent'],
  metadata: [{ team: 'a' }, { team: 'b', zone: 'z' }, {}],
  metadataFromLabels: [['track'], ['example.com/part-of']],
  stickyActiveGroup: ['main', 'main', 'spare'],
  whenNotReady: ['MarkUnhealthy', 'Lapse', 'Remove'],
  notReadyGraceSeconds: [0, 1],
  apiOutage: [{ mode: 'Hold' }, { mode: 'Probe', maxHoldSeconds: 60 }, { mode: 'Lapse' }],
  onConflict: ['Yield', 'Adopt'],
  keyLayout: ['Dotted', 'Underscore', 'DoubleUnderscore'],
  suspend: [true, false],
};

/** The last of each is wrong, and leaves the value before it in force. */
const WORKLOAD_TEXTS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  register: ['true', 'true', 'false', 'yes'],
  ttl: ['3s', '6', '1.5s'],
  'refresh-interval': ['1s', '1s', 'PT1S'],
  'instance-id': ['PodName', 'Generated', 'Random'],
  version: ['3.1.0', 'v4', ''],
  port: ['http', '7070', '0'],
  'sticky-active-group': ['main', 'spare', 'no group'],
  'when-not-ready': ['Remove', 'Lapse', 'never'],
  metadata: ['{"team":"c"}', '{}', '["c"]'],
  'service-name': ['gamma-service', 'gamma', 'Gamma_Service'],
};

const POD_TEXTS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  register: ['false', 'true', 'yes'],
  version: ['5.0', '5.0.1', ''],
  port: ['http', '6060', '65536'],
  metadata: ['{"team":"d"}', '{"zone":"e"}', '{"pod":"mine"}'],
  'service-name': ['delta-service', 'delta-service', 'de'],
  [BUILD]: ['7.1', 'v8', ''],
};

const NAMESPACE_TEXTS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  defaults: [
    '{"whenNotReady":"Lapse","metadata":{"desk":"fx"}}',
    '{"port":5050,"keyLayout":"Underscore"}',
    '{"stickyActiveGroup":"main","notReadyGraceSeconds":1}',
    '{"ttlSeconds":1}',
  ],
};

/**
 * `alpha` selects by app, `canary` is of the same service and selects by track, `every` takes all pods, `delta` those that
 * name its service. The first of each is how it begins.
 */
const SELECTORS: Readonly<Record<string, readonly [SpecFields, ...SpecFields[]]>> = {
  alpha: [
    { matchLabels: { app: 'alpha' } },
    { matchLabels: { app: 'alpha' }, matchExpressions: [{ key: 'track', operator: 'DoesNotExist' }] },
    { matchLabels: { app: 'other' } },
  ],
  canary: [
    { matchExpressions: [{ key: 'track', operator: 'In', values: ['canary'] }] },
    { matchExpressions: [{ key: 'track', operator: 'Exists' }] },
  ],
  every: [{}, { matchExpressions: [{ key: 'app', operator: 'NotIn', values: ['gamma'] }] }],
};
const SERVICE_NAMES: Readonly<Record<string, string>> = {
  canary: 'alpha',
  every: 'every-service',
  delta: 'delta-service',
};
const NAMES = ['alpha', 'alpha', 'alpha', 'canary', 'canary', 'every', 'delta'] as const;

const BASE: SpecFields = { ttlSeconds: 3, refreshIntervalSeconds: 1 };

type Edit = (random: Random, state: WalkState) => WalkState;

const changeResource: Edit = (random, state) => {
  const name = pick(random, NAMES);
  const resource = state.resources[name];
  if (resource === undefined) return makeResource(random, name, state);
  const selectors = SELECTORS[name];
  const fields: typeof FIELDS = selectors === undefined ? FIELDS : { ...FIELDS, selector: selectors };
  const field = pick(random, ['ttlSeconds', ...Object.keys(fields)]);
  const { [field]: _, ...rest } = resource.spec;
  const values = fields[field] ?? [undefined];
  const spec = REQUIRED.includes(field) || random() < 0.7 ? { ...rest, [field]: pick(random, values) } : rest;
  return { ...state, resources: { ...state.resources, [name]: { ...resource, spec: inTime(spec) } } };
};

/** Without a TTL of its own a key would live for 30 s, and without a selector a resource would be another one. */
const REQUIRED = ['ttlSeconds', 'selector'];

/** The API server refuses an interval of more than a third of the TTL. */
const inTime = (spec: SpecFields): SpecFields =>
  Number(spec['refreshIntervalSeconds']) * 3 > Number(spec['ttlSeconds'])
    ? { ...spec, refreshIntervalSeconds: 1 }
    : spec;

/** Half of them begin as a sticky group: with one field among so many, few would ever be one. */
const makeResource = (random: Random, name: string, state: WalkState): WalkState => {
  const [selector] = SELECTORS[name] ?? [];
  const serviceName = SERVICE_NAMES[name];
  const spec = {
    ...BASE,
    ...(serviceName === undefined ? {} : { serviceName }),
    ...(selector === undefined ? {} : { selector }),
    ...(random() < 0.5 ? { stickyActiveGroup: 'main' } : {}),
  };
  const fresh = { incarnation: state.step, born: state.step, spec };
  return { ...state, resources: { ...state.resources, [name]: fresh } };
};

const dropResource: Edit = (random, state) => {
  const { [pick(random, NAMES)]: _, ...resources } = state.resources;
  return { ...state, resources };
};

const changeDeployment: Edit = (random, state) => {
  const { deployment, step } = state;
  if (deployment === undefined) {
    const annotations = { register: 'true', ttl: '3s', 'refresh-interval': '1s' };
    const template = { born: step, annotations: {} };
    return { ...state, deployment: { incarnation: step, born: step, annotations, replicas: 2, template } };
  }
  return {
    ...state,
    deployment: { ...deployment, annotations: annotate(random, deployment.annotations, WORKLOAD_TEXTS) },
  };
};

const rollOut: Edit = (random, state) => {
  const { deployment, step } = state;
  if (deployment === undefined) return state;
  const template = { born: step, annotations: annotate(random, deployment.template.annotations, POD_TEXTS) };
  return { ...state, deployment: { ...deployment, template } };
};

const annotate = (
  random: Random,
  annotations: Texts,
  table: Readonly<Record<string, readonly [string, ...string[]]>>,
) => {
  const [first = '', ...others] = Object.keys(table);
  const name = pick(random, [first, ...others]);
  const { [name]: _, ...rest } = annotations;
  const stays = name === 'ttl' || name === 'refresh-interval';
  return stays || random() < 0.75 ? { ...rest, [name]: pick(random, table[name] ?? ['']) } : rest;
};

const scale: Edit = (random, state) =>
  state.deployment === undefined
    ? state
    : { ...state, deployment: { ...state.deployment, replicas: Math.floor(random() * 4) } };

const dropDeployment: Edit = (_, { deployment: _gone, ...state }) => state;

const somePod = (random: Random, state: WalkState, change: (pod: WalkPod) => WalkPod | undefined): WalkState => {
  const name = `bare-${Math.floor(random() * 5)}`;
  const { [name]: pod, ...others } = state.pods;
  const before = pod ?? {
    incarnation: state.step,
    born: state.step,
    labels: { app: 'alpha' },
    annotations: {},
    ready: true,
  };
  const after = pod === undefined ? before : change(before);
  return { ...state, pods: after === undefined ? others : { ...others, [name]: after } };
};

const relabel: Edit = (random, state) => {
  const labels: Texts = {
    ...(random() < 0.6 ? { app: 'alpha' } : random() < 0.5 ? { app: 'other' } : {}),
    ...(random() < 0.4 ? { track: pick(random, ['canary', '1.5']) } : {}),
    ...(random() < 0.3 ? { 'example.com/part-of': 'desk' } : {}),
  };
  return somePod(random, state, (pod) => ({ ...pod, labels }));
};

const annotatePod: Edit = (random, state) =>
  somePod(random, state, (pod) => ({ ...pod, annotations: annotate(random, pod.annotations, POD_TEXTS) }));

const EDITS: readonly [Edit, ...Edit[]] = [
  changeResource,
  changeResource,
  changeResource,
  changeResource,
  dropResource,
  changeDeployment,
  changeDeployment,
  changeDeployment,
  rollOut,
  scale,
  dropDeployment,
  relabel,
  relabel,
  annotatePod,
  annotatePod,
  (random, state) => ({ ...state, annotations: annotate(random, state.annotations, NAMESPACE_TEXTS) }),
  (random, state) => somePod(random, state, (pod) => ({ ...pod, ready: !pod.ready })),
  (random, state) => somePod(random, state, () => undefined),
  (random, state) =>
    somePod(random, state, (pod) => ({ ...pod, incarnation: state.step, born: state.step, ready: true })),
];

export const edited = (random: Random, state: WalkState): WalkState =>
  pick(random, EDITS)(random, { ...state, step: state.step + 1 });

const isWrong = (table: Readonly<Record<string, readonly string[]>>, name: string, text: string): boolean =>
  text === table[name]?.at(-1);

/** Without what is wrong: there the last good value stays, so that the way matters, and should. */
export const mended = (state: WalkState): WalkState => {
  const mend = (annotations: Texts, table: Readonly<Record<string, readonly string[]>>): Texts =>
    Object.fromEntries(
      Object.entries(annotations).map(([name, text]) => [
        name,
        isWrong(table, name, text) ? (table[name]?.[0] ?? '') : text,
      ]),
    );
  const { deployment } = state;
  const mendDeployment = ({ annotations, template, ...rest }: NonNullable<WalkState['deployment']>) => {
    const texts = mend(template.annotations, POD_TEXTS);
    const same = JSON.stringify(texts) === JSON.stringify(template.annotations);
    return {
      ...rest,
      annotations: mend(annotations, WORKLOAD_TEXTS),
      template: same ? template : { born: state.step + 1, annotations: texts },
    };
  };
  return {
    ...state,
    annotations: mend(state.annotations, NAMESPACE_TEXTS),
    pods: Object.fromEntries(
      Object.entries(state.pods).map(([name, pod]) => [
        name,
        { ...pod, annotations: mend(pod.annotations, POD_TEXTS) },
      ]),
    ),
    ...(deployment === undefined ? {} : { deployment: mendDeployment(deployment) }),
  };
};
