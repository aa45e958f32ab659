// `rollcall doctor`: looks at everything that the operator needs and at what came of its work, and says of each whether
// it is well and what to do. Writes nothing. What is judged how is `doctor-checks.ts`.

import { systemClock } from '../clock.ts';
import type { Config } from '../config.ts';
import { asList, asObject, asText } from '../domain/raw.ts';
import { ApiError, type ApiTransport, field, textField } from '../kubernetes/api-transport.ts';
import { createCluster } from '../kubernetes/cluster-writer.ts';
import type { Gap } from '../kubernetes/list-cluster.ts';
import { apiVersionOf, collectionPath, resources } from '../kubernetes/resources.ts';
import { describeRight, missingRights, nodeRights, operatorRights } from '../kubernetes/rights.ts';
import type { ClusterViews } from '../kubernetes/watch-cluster.ts';
import { lockSubject } from '../writer/lock.ts';
import { RegistryError } from '../writer/registry.ts';
import { bucketChecks } from './bucket-checks.ts';
import { type Check, checkLines, exitCodeOf, failure, ok, warning } from './check.ts';
import { CommandError, type Format, type Io, printData } from './command.ts';
import {
  clockCheck,
  conflictCheck,
  crdCheck,
  type Drift,
  driftCheck,
  kubernetesCheck,
  leaderCheck,
  nodeRightsCheck,
  nodesCheck,
  type Refused,
  resourcesCheck,
  rightsCheck,
  secondInstallationCheck,
} from './doctor-checks.ts';
import { type PlannedKey, plannedKeys } from './dry-run-command.ts';
import { defaultsOf } from './from-config.ts';
import { readClusterId } from './operator-id.ts';
import { readEntries } from './read-registry.ts';
import type { RegistryEntry } from './registry-entry.ts';
import type { Rehearsal } from './rehearsal.ts';
import { clocksOf, listScene, rehearseScene, type Scene, type SceneBucket, withApi, withBucket } from './scene.ts';

/** What is about to be written is no drift: it is gone at the second look. */
const SECOND_LOOK_MS = 3_000;
/** Keys that are refreshed more seldom are not waited for; and by how much a refresh may be late. */
const REFRESH_AWAITED_MAX_MS = 30_000;
const REFRESH_LATE_MS = 1_000;
const ADVICE_READ = 'If a right is missing: docs/permissions.md has those of a NATS user. Else look again in a moment.';
const OPERATOR_LABEL = 'app.kubernetes.io/name=rollcall';

/** Resolves with the exit code. */
export const runDoctor = async (config: Config, format: Format, io: Io): Promise<number> => {
  const checks: Check[] = [];
  const note = (...found: readonly Check[]) => {
    checks.push(...found);
    if (format === 'table') io.print(`${checkLines(found).join('\n')}\n`);
  };
  await withBucket(config, io.signal, async (bucket) => {
    note(...natsChecks(config, bucket));
    try {
      await withApi(config, (transport) => examine(config, transport, bucket, note, io.signal));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      note(
        failure(
          'api',
          sentence(error.message),
          'Is --kubeconfig (or KUBECONFIG) right, and the server up? kubectl get --raw /readyz',
        ),
      );
    }
  });
  if (format !== 'table') io.print(printData({ checks }, format));
  return exitCodeOf(checks);
};

type Note = (...found: readonly Check[]) => void;

const sentence = (text: string): string =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?]$/.test(text) ? '' : '.'}`;

const natsChecks = (config: Config, bucket: SceneBucket): readonly Check[] => {
  if (bucket.kind === 'unreachable') {
    const [found = '', advice = ''] = bucket.problem.split('\n');
    return [failure('nats', sentence(found), advice)];
  }
  const { report, clockOffsetMs } = bucket;
  return [
    ...bucketChecks(report, config.bucket, defaultsOf(config)),
    ...(report.kind === 'usable' || report.kind === 'unsupported'
      ? [clockCheck('clock', clockOffsetMs, 'The clock here and that of the NATS server')]
      : []),
  ];
};

const examine = async (
  config: Config,
  transport: ApiTransport & { readonly origin: string },
  bucket: SceneBucket,
  note: Note,
  signal: AbortSignal,
): Promise<void> => {
  const version = await transport.request({ method: 'GET', path: '/version', signal });
  if (version.status === 401) throw new CommandError(`the API server ${transport.origin} refuses these credentials`);
  note(ok('api', `The API server ${transport.origin} answers.`));
  note(kubernetesCheck(textField(version.body, 'gitVersion') ?? 'unknown'));
  const rights = operatorRights(config);
  const missing = await missingRights(createCluster(transport), rights, signal);
  note(rightsCheck(missing.map(describeRight), rights.length));
  const lacking = await missingRights(createCluster(transport), nodeRights(config), signal);
  note(...nodeRightsCheck(lacking.map(describeRight)));
  const wanted = Object.values(resources).filter(({ group }) => group === resources.ServiceRegistration.group);
  note(
    crdCheck(
      wanted.map(({ plural }) => plural),
      await servedPlurals(transport, signal),
    ),
  );
  const operatorId = config.operatorId ?? (await idOf(transport, signal));
  if (operatorId === undefined) {
    const advice = 'Give it with --operator-id as the operator has it, or get the right to read namespace kube-system.';
    note(warning('operator id', "The operator's id cannot be told, and nothing that depends on it.", advice));
    return;
  }
  if (bucket.kind === 'unreachable') return;
  await examineWork({ config, transport, bucket, operatorId, signal }, note);
};

type Site = Omit<Scene, 'views' | 'gaps' | 'bucket' | 'transport'> & {
  readonly transport: ApiTransport;
  readonly bucket: Extract<SceneBucket, { kind: 'reached' }>;
};

const idOf = (transport: ApiTransport, signal: AbortSignal): Promise<string | undefined> =>
  readClusterId(transport, signal).catch((error: unknown) => {
    if (error instanceof ApiError) throw error;
    return undefined;
  });

const servedPlurals = async (transport: ApiTransport, signal: AbortSignal): Promise<readonly string[]> => {
  const path = `/apis/${apiVersionOf(resources.ServiceRegistration)}`;
  const { body } = await transport.request({ method: 'GET', path, signal });
  return asList(field(body, 'resources')).flatMap((entry) => asText(asObject(entry)?.['name']) ?? []);
};

/** What the operator made of it: the lock, the keys, the resources. */
export const examineWork = async (site: Site, note: Note): Promise<void> => {
  const { config, bucket, operatorId, signal } = site;
  const { registry, report } = bucket;
  if (report.kind === 'usable' || report.kind === 'unsupported') {
    try {
      const [lock] = await registry.read([lockSubject(config.bucket, operatorId)], signal);
      note(leaderCheck(lock, operatorId, clocksOf(bucket)));
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      note(failure('leader', sentence(error.message), ADVICE_READ));
    }
  }
  const listed = await list(site);
  for (const { resource, kind } of listed.gaps) {
    if (kind === 'missing' || ofNodes(resource)) continue;
    note(
      warning(
        'view',
        `You may not list ${resource}; what depends on them is not judged.`,
        'Ask with other credentials.',
      ),
    );
  }
  const unseen = listed.gaps.filter(
    ({ resource, kind }) => !ofNodes(resource) && (kind !== 'missing' || resource === 'serviceregistrations'),
  );
  if (unseen.length > 0) return;
  try {
    if (report.kind === 'usable') await examineEntries(site, listed, note);
    await examineKeys(site, listed, note);
  } catch (error) {
    // The API server's are its own: what is left is that the bucket could not be read, now or in the play.
    if (!(error instanceof CommandError || error instanceof RegistryError)) throw error;
    note(failure('bucket', sentence(error.message), ADVICE_READ));
  }
};

/** Rights to these may be left out, which is told by itself. */
const ofNodes = (resource: string): boolean =>
  resource === resources.Node.plural || resource === resources.Lease.plural;

/** Who else writes under our id, and by what clock. */
export const examineEntries = async (site: Site, listed: Pick<Listed, 'uids'>, note: Note): Promise<void> => {
  const { config, bucket, operatorId, signal } = site;
  const { entries } = await readEntries(bucket.registry, config.bucket, signal);
  const clocks = clocksOf(bucket);
  const own = entries
    .filter(({ owner }) => owner?.operatorId === operatorId)
    .toSorted((a, b) => b.revision - a.revision);
  const [latest] = own;
  if (latest !== undefined) {
    const offsetMs = latest.heartbeatMs - latest.storedAtMs;
    note(clockCheck('heartbeat', offsetMs, "The leader's clock, by its last heartbeat, and that of the NATS server"));
  }
  const operatorNamespaces = await operatorNamespacesOf(site);
  const judge = (some: readonly RegistryEntry[], uids: ReadonlySet<string>) =>
    secondInstallationCheck(some, { operatorId, hasPod: (uid) => uids.has(uid), operatorNamespaces }, clocks);
  const check = judge(entries, listed.uids);
  if (check.verdict !== 'failure') return note(check);
  // A pod may have come, and been registered, between the list and the reading; or have gone a moment ago, and its key is left
  // to lapse. Strange is what is written again, for a pod that a later list lacks, too.
  const revisions = new Map(own.map(({ key, revision }) => [key, revision]));
  const intervalMs = Math.max(...own.map(({ ttlMs = 0 }) => ttlMs / 3));
  await systemClock.sleep(Math.min(intervalMs, REFRESH_AWAITED_MAX_MS) + REFRESH_LATE_MS, signal);
  const again = await readEntries(bucket.registry, config.bucket, signal);
  const rewritten = again.entries.filter(({ key, revision }) => revision > (revisions.get(key) ?? revision));
  note(judge(rewritten, new Set([...listed.uids, ...(await list(site)).uids])));
};

/** Whether the keys are what the operator would make them. */
const examineKeys = async (site: Site, listed: Listed, note: Note): Promise<void> => {
  const first = await look(site, listed);
  const drifted = driftOf(first.keys);
  if (drifted.length > 0) await systemClock.sleep(SECOND_LOOK_MS, site.signal);
  const again = drifted.length > 0 ? driftOf((await look(site, await list(site))).keys) : [];
  const stayed = drifted.filter((one) => again.some(({ key, action }) => key === one.key && action === one.action));
  note(driftCheck(stayed, first.keys.length));
  if (first.nodes.all > 0) note(nodesCheck(first.nodes));
  note(conflictCheck(first.keys.filter(({ action }) => action === 'leave')));
  note(resourcesCheck(first.refused, first.resources));
};

const DRIFT_ACTIONS: readonly PlannedKey['action'][] = ['create', 'update', 'unhealthy', 'remove'];

const driftOf = (keys: readonly PlannedKey[]): readonly Drift[] =>
  keys.filter(({ action }) => DRIFT_ACTIONS.includes(action));

type Listed = {
  readonly views: ClusterViews;
  readonly gaps: readonly Gap[];
  /** Of pods. */
  readonly uids: ReadonlySet<string>;
};

/** The cluster as it is now. */
const list = async ({ config, transport, signal }: Site): Promise<Listed> => {
  const { views, gaps } = await listScene(config, transport, signal);
  return { views, gaps, uids: new Set([...views.pods.values()].map(({ uid }) => uid)) };
};

/** What the operator would do about it. */
const look = (site: Site, { views }: Listed) =>
  rehearseScene({ ...site, views }, (rehearsal) => ({
    keys: plannedKeys(site.config.bucket, rehearsal),
    refused: refusedOf(rehearsal),
    nodes: rehearsal.operator.judgedNodes,
    resources: views.registrations.size,
  }));

const refusedOf = ({ views, cluster }: Rehearsal): readonly Refused[] =>
  [...views.registrations.values()].flatMap(({ key, status }) => {
    const conditions = asList(asObject(cluster.statuses.get(key) ?? status)?.['conditions']).map(asObject);
    const ready = conditions.find((condition) => condition?.['type'] === 'Ready');
    if (ready?.['status'] !== 'False') return [];
    return [{ registration: key, reason: String(ready['reason']), message: String(ready['message']) }];
  });

const operatorNamespacesOf = async ({ transport, signal }: Site): Promise<readonly string[]> => {
  const query = { labelSelector: OPERATOR_LABEL };
  const { body } = await transport.request({ method: 'GET', path: collectionPath(resources.Pod), query, signal });
  const namespaces = asList(field(body, 'items')).flatMap((pod) => textField(pod, 'metadata', 'namespace') ?? []);
  return [...new Set(namespaces)].toSorted();
};
