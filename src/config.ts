// Every setting of the operator in one schema: its flag, its environment variable, its default and what it means are
// all derived from here, and so is the flag table in the documentation. Reading flags, environment and file is
// `config-sources.ts`.

import { z } from 'zod';
import {
  API_OUTAGE_MODES,
  defaultsSchema,
  INTERVAL_SECONDS_MAX,
  MAX_HOLD_SECONDS_MAX,
  NODE_LOSS_MODES,
  NOT_READY_GRACE_SECONDS_MAX,
  TTL_SECONDS_MAX,
  TTL_SECONDS_MIN,
} from './domain/crd-schema.ts';
import { NAME_CLAIM_MODES } from './domain/name-claims.ts';
import { KEY_LAYOUTS } from './domain/names.ts';

/** Digits alone: what else `Number` takes for one (an empty text, `1e3`, true) is a mistake. */
const digits = (value: unknown): unknown => (typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value);

const seconds = (least: number, most: number) =>
  z.preprocess(
    digits,
    z
      .number('must be a whole number of seconds')
      .int('must be a whole number of seconds')
      .min(least, `must be at least ${least}`)
      .max(most, `must be at most ${most}`),
  );

/** It becomes a token of the lock's subject. */
export const OPERATOR_ID = /^[a-z0-9][a-z0-9-]{0,62}$/;
const PORT_MAX = 65_535;
/** A list of 5,000 pods takes about 4 s at its pace: oftener would be always. */
const RELIST_SECONDS_MIN = 10;
const RELIST_SECONDS_MAX = 86_400;

/** How much of something a namespace may have; absent: any amount. */
const quota = (most: number) =>
  z
    .preprocess(
      digits,
      z
        .number('must be a whole number')
        .int('must be a whole number')
        .min(1, 'must be at least 1')
        .max(most, `must be at most ${most}`),
    )
    .optional();

const address = z
  .string()
  .regex(/^(?:[^\s:]*|\[[0-9a-fA-F:]+\]):\d{1,5}$|^0$/, {
    abort: true,
    message: 'must be HOST:PORT or :PORT, or 0 for none',
  })
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= PORT_MAX, `must have a port up to ${PORT_MAX}`);

const listOf = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value) => (typeof value === 'string' ? value.split(',').map((part) => part.trim()) : value), schema);

const list = listOf(z.array(z.string().min(1, 'must not have an empty part')));

// A comma or an equals sign would mean something in the selector that this becomes part of.
const namespaces = listOf(
  z.array(z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be names of namespaces')),
);

/** On the command line and in variables as JSON, in the file also as YAML. */
const json = <S extends z.ZodType>(example: string, schema: S) =>
  z.preprocess((value, context) => {
    if (typeof value !== 'string') return value;
    try {
      return JSON.parse(value);
    } catch {
      context.addIssue({ code: 'custom', message: `must be JSON, such as ${example}` });
      return z.NEVER;
    }
  }, schema);

const { version, port, metadata, metadataFromLabels, stickyActiveGroup } = defaultsSchema.shape;

const flag = z.preprocess(
  (value) => (value === 'true' || value === '' ? true : value === 'false' ? false : value),
  z.boolean('must be true or false'),
);

/** A rule about settings is told beside everything else that is wrong, unless these themselves are. */
const whenRight =
  (...settings: readonly string[]) =>
  ({ issues }: { readonly issues: readonly { readonly path?: readonly PropertyKey[] | undefined }[] }): boolean =>
    issues.every(({ path }) => !settings.includes(String(path?.[0])));

const inCluster = (environment: NodeJS.ProcessEnv): boolean => environment['KUBERNETES_SERVICE_HOST'] !== undefined;

export const configSchema = (environment: NodeJS.ProcessEnv) =>
  z
    .strictObject({
      natsUrl: list.default(['nats://127.0.0.1:4222']).describe('NATS servers, comma-separated'),
      natsCreds: z.string().optional().describe('Credentials file (JWT and nkey seed)'),
      natsNkey: z.string().optional().describe('File with an nkey seed'),
      natsUser: z.string().optional().describe('User name; goes with --nats-password-file'),
      natsPasswordFile: z.string().optional().describe('File with the password'),
      natsTokenFile: z.string().optional().describe('File with a token'),
      natsCa: z.string().optional().describe('File with the CA certificates to trust'),
      natsCert: z.string().optional().describe('File with the client certificate; goes with --nats-key'),
      natsKey: z.string().optional().describe("File with the client certificate's key"),
      natsTlsFirst: flag.default(false).describe('TLS before the first byte of the NATS protocol'),
      bucket: z
        .string()
        .regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, "_" and "-"')
        .default('service-registry')
        .describe('The key-value bucket that is the registry'),
      bucketPolicy: z
        .enum(['Create', 'Upgrade', 'Verify'], 'must be Create, Upgrade or Verify')
        .default('Create')
        .describe(
          'Create: make the bucket when it is missing, else verify it. Upgrade: also switch on what it lacks. Verify: change nothing',
        ),
      bucketReplicas: z
        .preprocess(
          digits,
          z.number('must be 1, 3 or 5').refine((n) => [1, 3, 5].includes(n), 'must be 1, 3 or 5'),
        )
        .optional()
        .describe('Replicas of a bucket that is created; default 3 on a cluster, 1 on a single server'),
      bucketStorage: z
        .enum(['File', 'Memory'], 'must be File or Memory')
        .default('File')
        .describe('Storage of a bucket that is created'),
      kubeconfig: z
        .string()
        .optional()
        .describe('Kubeconfig file; default: in-cluster, else $KUBECONFIG, else ~/.kube/config'),
      context: z.string().optional().describe('Context of the kubeconfig'),
      namespace: namespaces
        .default([])
        .describe(
          'Watch these namespaces and no others, for which Roles suffice; repeatable or comma-separated. Needs --operator-id; what namespaces say themselves does not count then, nor do the leases of nodes. Default: all',
        ),
      excludeNamespace: namespaces
        .default(['kube-system', 'kube-public', 'kube-node-lease'])
        .describe('Namespaces whose pods are never registered; repeatable or comma-separated'),
      annotationPrefix: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/, 'must be a DNS name such as rollcall.dev')
        .default('rollcall.dev')
        .describe('Prefix of the annotations, without the slash'),
      operatorId: z
        .string()
        .regex(OPERATOR_ID, 'must be 1 to 63 lower-case letters, digits and hyphens')
        .optional()
        .describe('Name of this installation in the registry; default: the UID of namespace kube-system'),
      stateDir: z
        .string()
        .optional()
        .describe(
          'Directory of this cluster in which a replica remembers that UID, so that it can be started again while the API server is away',
        ),
      keyLayout: z
        .enum(KEY_LAYOUTS, 'must be Dotted, Underscore or DoubleUnderscore')
        .default('Dotted')
        .describe(
          'Keys of resources that say nothing of it. Dotted: service-instances.SVC.ID. Underscore: that and service-instances_SVC_ID. DoubleUnderscore: service-instances__SVC__ID alone',
        ),
      heartbeatOffset: z
        .string()
        .regex(/^(Z|[+-](0\d|1[0-4]):[0-5]\d)$/, 'must be an offset such as +08:00, or Z')
        .default('+08:00')
        .describe('UTC offset that lastHeartbeat and start_time are printed with'),
      defaultTtl: seconds(TTL_SECONDS_MIN, TTL_SECONDS_MAX)
        .default(30)
        .describe('TTL in seconds of keys whose resource says none'),
      defaultRefreshInterval: seconds(1, INTERVAL_SECONDS_MAX)
        .default(10)
        .describe('Refresh interval in seconds; at most a third of the TTL, which is what applies when that is less'),
      defaultInstanceId: z
        .enum(['Generated', 'PodName'], 'must be Generated or PodName')
        .default('Generated')
        .describe('How instance ids are made'),
      defaultWhenNotReady: z
        .enum(['MarkUnhealthy', 'Lapse', 'Remove'], 'must be MarkUnhealthy, Lapse or Remove')
        .default('MarkUnhealthy')
        .describe('What becomes of the key of a pod that is not Ready, or goes'),
      defaultNotReadyGrace: seconds(0, NOT_READY_GRACE_SECONDS_MAX)
        .default(0)
        .describe('For how many seconds a pod that is not Ready any more keeps its key as it is'),
      defaultApiOutageMode: z
        .enum(API_OUTAGE_MODES, 'must be Hold, Probe or Lapse')
        .default('Probe')
        .describe(
          'What becomes of keys while the API server cannot be heard. Hold: refreshed all the while. Probe: those of pods that answer at their TCP port, and all others for --max-hold. Lapse: none',
        ),
      defaultNodeLoss: z
        .enum(NODE_LOSS_MODES, 'must be NodeLease or PodReadiness')
        .default('NodeLease')
        .describe(
          'Whether pods whose node has not renewed its lease for 20 s count as not Ready (NodeLease), or only what Kubernetes says of the pods counts (PodReadiness)',
        ),
      defaultOnConflict: z
        .enum(['Yield', 'Adopt'], 'must be Yield or Adopt')
        .default('Yield')
        .describe('What to do about a key that somebody else wrote'),
      defaultVersion: json('{"fromLabel":"release"}', version).describe(
        'Where the version comes from, as `spec.version` in JSON; absent: the chain of annotation, labels and image tag',
      ),
      defaultPort: z
        .preprocess(digits, port)
        .describe('Name or number of the container port; absent: the only declared one'),
      defaultMetadata: json('{"cluster":"prod-1"}', metadata).describe(
        'Metadata of instances whose resource states none, as a JSON object of text',
      ),
      defaultMetadataFromLabels: listOf(metadataFromLabels).describe(
        'Pod labels copied into the metadata; repeatable or comma-separated',
      ),
      defaultStickyActiveGroup: stickyActiveGroup.describe(
        'The sticky group of services whose resource names none, each by itself; absent: no group',
      ),
      defaultSuspend: flag
        .default(false)
        .describe('Let the keys of resources lapse that do not say `suspend: false`, and make none'),
      nameClaims: z
        .enum(NAME_CLAIM_MODES, 'must be FirstCome, Open or Prefixed')
        .default('FirstCome')
        .describe(
          'Who may use a service name that no ServiceNamePolicy matches. FirstCome: the namespace whose resource for it is oldest. Open: all. Prefixed: names begin with their namespace and a hyphen',
        ),
      quotaInstances: quota(1_000_000).describe('Most instances per namespace; the oldest count'),
      quotaServices: quota(1_000_000).describe('Most service names per namespace; the oldest count'),
      quotaBytes: quota(1_000_000_000).describe('Most bytes of values per namespace; the oldest instances count'),
      maxWritesPerSecond: z
        .preprocess(
          digits,
          z
            .number('must be a whole number')
            .int('must be a whole number')
            .min(0, 'must be 0, or 10 to 1000000')
            .max(1_000_000, 'must be 0, or 10 to 1000000')
            .refine((most) => most === 0 || most >= 10, 'must be 0, or 10 to 1000000'),
        )
        .default(0)
        .describe(
          'Most messages that the leader writes to the registry in any second, the lock included (not so what replicas say of themselves each 2 s); 0: no limit, else 10 or more. Where the refreshes of all keys are more, all intervals are stretched by one factor, and TTLs grow with them to three intervals',
        ),
      maxHold: seconds(0, MAX_HOLD_SECONDS_MAX)
        .default(300)
        .describe(
          'How long in seconds keys are refreshed while the API server cannot be heard and their pods cannot be probed',
        ),
      relistInterval: seconds(RELIST_SECONDS_MIN, RELIST_SECONDS_MAX)
        .default(600)
        .describe(
          'How often in seconds, give or take a quarter, each kind of object is listed beside its watch, slowly and in pages, to put right what a watch failed to tell. It costs 15 s of CPU for 50,000 pods, spread over a minute and a half',
        ),
      leaseNamespace: z
        .string()
        .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be the name of a namespace')
        .optional()
        .describe(
          'Namespace of the Lease `rollcall` that shows people which replica leads; default: in a cluster the own one, else none is written',
        ),
      readinessGates: flag
        .default(false)
        .describe(
          'Open the readiness gate `registered` (under the annotation prefix) of pods that list it, once their keys stand. Needs the right to patch pods/status',
        ),
      readinessGateTimeout: seconds(1, 3_600)
        .default(60)
        .describe('Seconds without a writable registry after which such gates are opened all the same'),
      metricsAddr: address
        .default(inCluster(environment) ? ':8080' : '127.0.0.1:8080')
        .describe('Where /metrics is served'),
      healthAddr: address
        .default(inCluster(environment) ? ':8081' : '127.0.0.1:8081')
        .describe('Where /livez and /readyz are served'),
      dryRun: flag.default(false).describe('Say what would be done with each key now, write nothing, and end'),
      logLevel: z
        .enum(['debug', 'info', 'warn', 'error'], 'must be debug, info, warn or error')
        .default('info')
        .describe('Least severe log lines that are printed'),
    })
    .refine((config) => (config.natsUser === undefined) === (config.natsPasswordFile === undefined), {
      path: ['natsUser'],
      when: whenRight('natsUser', 'natsPasswordFile'),
      message: 'goes together with --nats-password-file',
    })
    .refine((config) => (config.natsCert === undefined) === (config.natsKey === undefined), {
      path: ['natsCert'],
      when: whenRight('natsCert', 'natsKey'),
      message: 'goes together with --nats-key',
    })
    .refine((config) => config.namespace.length === 0 || config.operatorId !== undefined, {
      path: ['operatorId'],
      when: whenRight('namespace', 'operatorId'),
      message: 'must be given with --namespace: its default takes the right to read namespace kube-system',
    })
    .refine((config) => config.namespace.every((name) => !config.excludeNamespace.includes(name)), {
      path: ['namespace'],
      when: whenRight('namespace', 'excludeNamespace'),
      message: 'names a namespace that --exclude-namespace leaves out',
    })
    .refine((config) => config.defaultRefreshInterval * 3 <= config.defaultTtl || config.defaultTtl < 30, {
      path: ['defaultRefreshInterval'],
      when: whenRight('defaultTtl', 'defaultRefreshInterval'),
      message: 'must be at most a third of --default-ttl',
    });

/** What this operator cannot do, because it may read single namespaces only. */
export const unavailable = ({ namespace, nameClaims }: Pick<Config, 'namespace' | 'nameClaims'>): readonly string[] => {
  if (namespace.length === 0) return [];
  const claims = nameClaims === 'FirstCome' ? ['--name-claims=FirstCome (every namespace may use every name)'] : [];
  return [
    'defaults by annotations of namespaces',
    'ServiceNamePolicy',
    'nodeLoss: NodeLease (only what Kubernetes says of the pods counts)',
    ...claims,
  ];
};

export type Config = z.output<ReturnType<typeof configSchema>>;

/** `natsUrl` -> `nats-url`. */
export const flagOf = (setting: string): string => setting.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** `natsUrl` -> `ROLLCALL_NATS_URL`. */
export const variableOf = (setting: string): string => `ROLLCALL_${flagOf(setting).replaceAll('-', '_').toUpperCase()}`;
