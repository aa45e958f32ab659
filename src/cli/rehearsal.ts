// The whole operator, played through once on what the cluster and the registry are now, without writing to either. What
// it would do is what it will do, because it is the same code: `explain`, `doctor` and `operator --dry-run` decide
// nothing of their own.

import { type Clock, systemClock, systemRandom } from '../clock.ts';
import type { EventNotice } from '../controllers/cluster.ts';
import type { ClusterViews } from '../kubernetes/watch-cluster.ts';
import type { Log } from '../log.ts';
import type { NatsRegistry } from '../nats/registry.ts';
import { Operator, type OperatorObserver, type OperatorSettings } from '../operator.ts';
import { lockSubject } from '../writer/lock.ts';
import type { BatchMessage, BucketReport } from '../writer/registry.ts';
import { CommandError } from './command.ts';
import { type RehearsedCluster, rehearsedCluster } from './rehearsed-cluster.ts';
import { rehearsedRegistry } from './rehearsed-registry.ts';

export type Rehearsal = {
  readonly operator: Operator;
  readonly views: ClusterViews;
  readonly cluster: RehearsedCluster;
  /** By subject. */
  readonly writes: ReadonlyMap<string, BatchMessage>;
  readonly events: readonly EventNotice[];
};

export type RehearsalOptions = {
  readonly views: ClusterViews;
  /** Absent: NATS cannot be reached; played on an empty bucket. */
  readonly registry: NatsRegistry | undefined;
  readonly report: BucketReport | undefined;
  readonly clockOffsetMs: number;
  readonly settings: OperatorSettings;
  readonly signal: AbortSignal;
};

/** 150,000 keys are read back in some seconds. */
const SETTLED_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** Nobody else is there to be polite to: every pause is short. */
const hastyClock: Clock = {
  ...systemClock,
  sleep: (ms, signal) => systemClock.sleep(Math.min(ms, LOOK_EVERY_MS), signal),
};

/** `look` sees the operator at the moment when it has nothing left to do. @throws CommandError when that never comes */
export const rehearse = async <T>(options: RehearsalOptions, look: (rehearsal: Rehearsal) => T): Promise<T> => {
  const { views, settings, signal } = options;
  const events: EventNotice[] = [];
  const trouble: { last?: string } = {};
  const registry = rehearsedRegistry({
    real: options.registry,
    report: options.report,
    lockSubject: lockSubject(settings.bucket, settings.operatorId),
    clock: systemClock,
    clockOffsetMs: options.clockOffsetMs,
  });
  const cluster = rehearsedCluster(views, settings.defaults, systemClock.wallMs());
  const operator = new Operator(
    {
      views,
      cluster,
      events: { emit: (notice) => void events.push(notice) },
      registry,
      prober: { probe: () => Promise.resolve('impossible') },
      clock: hastyClock,
      random: systemRandom,
      log: listening(trouble),
      observer: SILENT,
    },
    settings,
  );
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  const running = operator.run(ended);
  try {
    const deadlineMs = systemClock.monotonicMs() + SETTLED_WITHIN_MS;
    while (!operator.settled) {
      signal.throwIfAborted();
      if (systemClock.monotonicMs() > deadlineMs) {
        throw new CommandError(
          `what the operator would do could not be worked out: ${trouble.last ?? 'too much to do'}`,
        );
      }
      await systemClock.sleep(LOOK_EVERY_MS, ended);
    }
    return look({ operator, views, cluster, writes: registry.planned, events });
  } finally {
    over.abort();
    await running;
  }
};

const SILENT: OperatorObserver = {
  queue: () => ({ added: () => undefined, worked: () => undefined, retried: () => undefined }),
  batch: () => undefined,
  written: () => undefined,
  acknowledged: () => undefined,
  visible: () => undefined,
  audited: () => undefined,
  lapsed: () => undefined,
  conflict: () => undefined,
  probed: () => undefined,
  leaseFailed: () => undefined,
};

const listening = (trouble: { last?: string }): Log => {
  const note = (fields: object, message: string) => {
    trouble.last = `${message} ${JSON.stringify(fields)}`;
  };
  return { debug: () => undefined, info: () => undefined, warn: note, error: note };
};
