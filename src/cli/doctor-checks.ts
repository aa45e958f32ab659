// What `rollcall doctor` makes of what it found: one check per question, each with the sentence that helps. Pure; the
// looking is `doctor-command.ts`, the bucket's own checks are `bucket-checks.ts`.

import type { JudgedNodes } from '../controllers/node-watch.ts';
import type { ObjectKey } from '../domain/pod.ts';
import type { StoredMessage } from '../writer/registry.ts';
import { type Check, failure, ok, warning } from './check.ts';
import { type Clocks, leftMsOf, type RegistryEntry } from './registry-entry.ts';
import { plural, seconds } from './text.ts';

/** Watch lists, which first lists need to be cheap, and CEL rules (docs/compatibility.md). */
const KUBERNETES_MINOR_MIN = 32;
const NAMED_MAX = 5;
const CLOCK_WARNING_MS = 2_000;
/** Readers hide what is older than 35 s; and a clock that is so far off is broken. */
const CLOCK_FAILURE_MS = 5_000;
const LOCK_LATE_MS = 4_000;

export const kubernetesCheck = (gitVersion: string): Check => {
  const [, major = '0', minor = '0'] = /^v?(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  if (Number(major) > 1 || Number(minor) >= KUBERNETES_MINOR_MIN) return ok('kubernetes', `Kubernetes ${gitVersion}`);
  return warning(
    'kubernetes',
    `Kubernetes ${gitVersion} is older than what is tested, 1.${KUBERNETES_MINOR_MIN}.`,
    'Upgrade it, or be prepared for surprises: docs/compatibility.md.',
  );
};

export const rightsCheck = (missing: readonly string[], asked: number): Check =>
  missing.length === 0
    ? ok('rights', `All ${asked} rights that the operator needs are granted to these credentials.`)
    : failure(
        'rights',
        `These credentials lack ${plural(missing.length, 'right')}: ${missing.join(', ')}.`,
        "If they are the operator's: kubectl apply -f manifests/base/cluster-role.yaml, and see its binding; docs/permissions.md says what each is for. To ask with the operator's own: kubectl -n rollcall-system exec deploy/rollcall -- node /app/dist/main.js doctor",
      );

/** Rights that may be left out. */
export const nodeRightsCheck = (missing: readonly string[]): readonly Check[] =>
  missing.length === 0
    ? []
    : [
        warning(
          'node rights',
          `No node can be found to be lost: these credentials lack ${plural(missing.length, 'right')}, ${missing.join(', ')}.`,
          'If that is not meant so: kubectl apply -f manifests/base/cluster-role.yaml -f manifests/base/roles.yaml. Else --default-node-loss=PodReadiness says what happens anyway.',
        ),
      ];

/** By the clocks of the nodes and ours; the operator itself trusts neither. */
export const nodesCheck = ({ all, lost, braked }: JudgedNodes): Check => {
  if (lost.length === 0)
    return ok('nodes', `${plural(all, 'node')} with a lease ${all === 1 ? 'renews' : 'renew'} it.`);
  const found = `${lost.length} of ${plural(all, 'node')} ${lost.length === 1 ? 'does' : 'do'} not renew ${lost.length === 1 ? 'its lease' : 'their leases'}, or Kubernetes does not hear ${lost.length === 1 ? 'it' : 'them'}: ${named(lost)}.`;
  return braked
    ? failure(
        'nodes',
        `${found} They are so many that nothing is concluded from it: the keys of their pods are kept up.`,
        'Look at what they have in common: network, API server, kubelet credentials. If their pods are gone: kubectl annotate --overwrite sreg NAME rollcall.dev/release-brake="$(date -u +%FT%TZ)"',
      )
    : warning('nodes', `${found} Their pods count as not Ready.`, 'kubectl describe node NAME');
};

/** `served`: plurals of our group that the API server knows. */
export const crdCheck = (wanted: readonly string[], served: readonly string[]): Check => {
  const missing = wanted.filter((plural) => !served.includes(plural));
  return missing.length === 0
    ? ok('crds', `The API server knows ${wanted.join(', ')}.`)
    : failure('crds', `The API server does not know ${missing.join(', ')}.`, 'kubectl apply -f crds/');
};

export const clockCheck = (name: string, offsetMs: number, between: string): Check => {
  const off = Math.abs(offsetMs);
  const found = `${between} are ${seconds(Math.round(off / 10) * 10)} apart.`;
  if (off < CLOCK_WARNING_MS) return ok(name, found);
  const advice =
    'Set the clock that is wrong, and keep it right (chrony, systemd-timesyncd). Readers hide instances whose heartbeat looks older than 35 s.';
  return off < CLOCK_FAILURE_MS ? warning(name, found, advice) : failure(name, found, advice);
};

/** Whose lock it is, and which of the operator's pods that is. */
export const leaderCheck = (lock: StoredMessage | undefined, operatorId: string, { serverWallMs }: Clocks): Check => {
  if (lock?.operation !== 'PUT') {
    return failure(
      'leader',
      `No operator with the id ${operatorId} leads: nothing is refreshed, and every key lapses.`,
      'kubectl -n rollcall-system get pods, and their logs; /readyz says what keeps one. Does --operator-id (or the cluster) fit?',
    );
  }
  const ageMs = serverWallMs - lock.storedAtMs;
  const holder = holderOf(lock);
  if (ageMs <= LOCK_LATE_MS)
    return ok('leader', `${holder} leads; it renewed the lock ${seconds(Math.max(0, Math.round(ageMs)))} ago.`);
  return warning(
    'leader',
    `${holder} leads, but did not renew the lock for ${seconds(Math.round(ageMs))}; it lapses after 6 s.`,
    'Look again in a moment: another replica takes over. If that repeats, see the log of the leader.',
  );
};

const holderOf = (lock: StoredMessage): string => lock.headers['Rollcall-Holder'] ?? 'unknown';

export type Installation = {
  readonly operatorId: string;
  /** Whether a pod of this incarnation is in this cluster. */
  readonly hasPod: (uid: string) => boolean;
  /** Namespaces in which pods of an operator run. */
  readonly operatorNamespaces: readonly string[];
};

/**
 * Keys that somebody refreshes under our id for pods that this cluster does not have. Those of pods that went a moment
 * ago are UNHEALTHY, or not refreshed any more.
 */
export const secondInstallationCheck = (
  entries: readonly RegistryEntry[],
  { operatorId, hasPod, operatorNamespaces }: Installation,
  clocks: Clocks,
): Check => {
  const strange = entries.filter(
    (entry) =>
      entry.owner?.operatorId === operatorId &&
      !hasPod(entry.owner.uid) &&
      entry.status !== 'UNHEALTHY' &&
      leftMsOf(entry, clocks) > (entry.ttlMs ?? 0) / 2,
  );
  const advice = `Give each installation an id of its own (--operator-id, ROLLCALL_OPERATOR_ID): with one id they take each other for replicas, and remove each other's keys.`;
  if (strange.length > 0) {
    const pods = strange.map(({ owner }) => `${owner?.namespace}/${owner?.name}`);
    return failure(
      'operator id',
      `Somebody refreshes ${plural(strange.length, 'key')} under the id ${operatorId} for pods that are not in this cluster (${named(pods)}): a second installation uses the same id.`,
      advice,
    );
  }
  if (operatorNamespaces.length > 1) {
    return warning(
      'operator id',
      `Operators run in several namespaces (${operatorNamespaces.join(', ')}); without --operator-id all of them use the id ${operatorId}.`,
      advice,
    );
  }
  return ok('operator id', `Nobody else uses the id ${operatorId}.`);
};

/** A key that is not what the operator would make it, at two looks in a row. */
export type Drift = { readonly key: string; readonly action: string; readonly pod: string };

const DRIFT_WORDS: Readonly<Record<string, string>> = {
  create: 'missing, or not ACTIVE',
  update: 'out of date',
  unhealthy: 'still ACTIVE though the pod is not Ready or gone',
  remove: 'still there though the pod is not Ready or gone',
};

export const driftCheck = (drifted: readonly Drift[], keys: number): Check => {
  if (drifted.length === 0) return ok('drift', `The ${plural(keys, 'key')} and the Ready pods agree.`);
  const kinds = [...Map.groupBy(drifted, ({ action }) => DRIFT_WORDS[action] ?? action)];
  const found = kinds.map(
    ([word, some]) => `${plural(some.length, 'key')} ${word} (${named(some.map(({ pod }) => pod))})`,
  );
  return failure(
    'drift',
    `Pods and keys do not agree: ${found.join('; ')}.`,
    'If nobody leads that is the cause. Else the log of the leader has it, and rollcall explain pod/NAME tells what is wanted of one pod.',
  );
};

export const conflictCheck = (held: readonly { readonly pod: string; readonly detail: string }[]): Check =>
  held.length === 0
    ? ok('conflicts', 'No key that a pod should have is held by anybody else.')
    : warning(
        'conflicts',
        `${plural(held.length, 'key')} that a pod should have ${held.length === 1 ? 'is' : 'are'} of somebody else: ${named(held.map(({ pod, detail }) => `${pod} ${detail}`))}.`,
        'Let one of the two register the instance; docs/concepts.md says how a service that registers itself gets on with Rollcall.',
      );

export type Refused = { readonly registration: ObjectKey; readonly reason: string; readonly message: string };

/** Of a resource that is not Ready these are for a person; the others are for pods to become Ready. */
const FOR_A_PERSON: readonly string[] = ['InvalidSpec', 'NameDenied', 'QuotaExceeded', 'NoPodsSelected', 'Conflict'];

export const resourcesCheck = (all: readonly Refused[], resources: number): Check => {
  const some = all.filter(({ reason }) => FOR_A_PERSON.includes(reason));
  return some.length === 0
    ? ok('resources', `None of the ${plural(resources, 'ServiceRegistration')} waits for a person.`)
    : warning(
        'resources',
        `${plural(some.length, 'ServiceRegistration')} ${some.length === 1 ? 'waits' : 'wait'} for a person: ${named(
          some.map(({ registration, reason, message }) => `${registration} ${reason}: ${message}`),
          ' ',
        )}`,
        'kubectl describe sreg NAME, or rollcall explain sreg/NAME, says more.',
      );
};

/** `between`: a comma, but a blank where the items are sentences. */
const named = (items: readonly string[], between = ', '): string =>
  items.length <= NAMED_MAX
    ? items.join(between)
    : `${items.slice(0, NAMED_MAX).join(between)} and ${items.length - NAMED_MAX} more`;
