// `rollcall operator --dry-run`: what the operator would do now, key by key, and nothing done. Played through once on
// the cluster and the bucket as they are, by the operator itself (`rehearsal.ts`).

import type { Config } from '../config.ts';
import { parseInstance } from '../domain/service-instance.ts';
import type { Row } from '../table/row.ts';
import type { BatchMessage } from '../writer/registry.ts';
import { sentenceOfReport } from './bucket-checks.ts';
import { CommandError, type Io } from './command.ts';
import type { Rehearsal } from './rehearsal.ts';
import { rehearseScene, type Scene, withScene } from './scene.ts';
import { plural } from './text.ts';

export type PlannedKey = {
  readonly key: string;
  /** `keep`: refreshed as it is; `leave`: somebody else's; `lapse`: written no more. */
  readonly action: 'create' | 'update' | 'keep' | 'unhealthy' | 'remove' | 'lapse' | 'leave';
  readonly pod: string;
  readonly detail: string;
  /** The value that would be written. */
  readonly value?: unknown;
};

/** Resolves with the exit code. */
export const runDryRun = (config: Config, io: Io): Promise<number> =>
  withScene(config, undefined, io, async (scene) => {
    const { bucket, gaps } = scene;
    if (bucket.kind === 'unreachable') throw new CommandError(bucket.problem);
    for (const { resource, kind } of gaps) io.complain(`${resource}: ${GAP_TEXTS[kind]}\n`);
    await rehearseScene(scene, (rehearsal) => {
      for (const line of planLines(scene, rehearsal)) io.print(`${line}\n`);
    });
    return 0;
  });

const GAP_TEXTS = {
  narrowed: 'of one namespace only could be listed',
  denied: 'could not be listed: a right is missing, and the plan is without them',
  missing: 'are not known to the API server: apply the CRDs (crds/), or it is an older version of them',
} as const;

const planLines = (scene: Scene, rehearsal: Rehearsal): readonly string[] => {
  const { config, bucket } = scene;
  const keys = plannedKeys(config.bucket, rehearsal);
  const width = Math.max(0, ...keys.map(({ key }) => key.length));
  const { applied, deleted, statuses } = rehearsal.cluster;
  const counts = [...Map.groupBy(keys, ({ action }) => action)].map(([action, { length }]) => `${length} ${action}`);
  return [
    ...(bucket.kind === 'reached' && bucket.report.kind !== 'usable' ? [sentenceOfReport(bucket.report, config)] : []),
    ...[...applied.keys()].map((key) => `apply      ServiceRegistration ${key}, for an annotated workload or pods`),
    ...[...deleted].map((key) => `delete     ServiceRegistration ${key}, which no annotation asks for any more`),
    ...keys.map(
      ({ action, key, pod, detail, value }) =>
        `${action.padEnd(11)}${key.padEnd(width + 2)}${pod}  ${detail}${value === undefined ? '' : `\n${' '.repeat(11)}${JSON.stringify(value)}`}`,
    ),
    `Dry run: ${plural(keys.length, 'key')}${counts.length === 0 ? '' : ` (${counts.join(', ')})`}, the status of ${plural(statuses.size, 'resource')}; nothing was written.`,
  ];
};

/** By key. */
export const plannedKeys = (bucket: string, { operator, writes }: Rehearsal): readonly PlannedKey[] => {
  const prefix = `$KV.${bucket}.`;
  const rows = new Map<string, Row>([...operator.table.rows()].map((row) => [row.key, row]));
  const planned = [...writes].map(([subject, message]) => {
    const key = subject.slice(prefix.length);
    return writtenKey(key, message);
  });
  const written = new Set(planned.map(({ key }) => key));
  const rest = [...rows.values()].filter(({ key }) => !written.has(key)).flatMap((row) => restingKey(row) ?? []);
  return [...planned, ...rest].toSorted((a, b) => (a.key < b.key ? -1 : 1));
};

const ACTIONS: Readonly<Record<string, PlannedKey['action']>> = {
  Registered: 'create',
  Refresh: 'keep',
  SpecChange: 'update',
  RoleChange: 'update',
  Handover: 'update',
  NotReady: 'unhealthy',
  Terminating: 'unhealthy',
  Deselected: 'unhealthy',
};

const writtenKey = (key: string, message: BatchMessage): PlannedKey => {
  const header = (name: string) => new RegExp(`^${name}: (.*)\\r$`, 'm').exec(message.headerLines)?.[1] ?? '';
  const reason = header('Rollcall-Reason');
  const [, namespace = '', name = ''] = header('Rollcall-Owner').split('/');
  const value = parseInstance(message.body);
  const action = message.operation === 'PURGE' ? 'remove' : (ACTIONS[reason] ?? 'update');
  const said = value === undefined ? '' : `${value.status} ${value.version}, TTL ${message.ttlSeconds} s`;
  return {
    key,
    action,
    pod: `${namespace}/${name}`,
    detail: [said, reason].filter((part) => part !== '').join(', '),
    ...(value === undefined || action === 'keep' ? {} : { value: JSON.parse(new TextDecoder().decode(message.body)) }),
  };
};

/** Undefined for a row that has no key and wants none. */
const restingKey = ({ key, wish, observed }: Row): PlannedKey | undefined => {
  const pod = `${wish.pod.namespace}/${wish.pod.name}`;
  if (observed.kind === 'foreign') {
    return wish.state.kind === 'live' ? { key, action: 'leave', pod, detail: `held by ${observed.owner}` } : undefined;
  }
  if (observed.kind !== 'ours' || wish.state.kind === 'live') return undefined;
  return { key, action: 'lapse', pod, detail: `${observed.status}, ${wish.state.reason}` };
};
