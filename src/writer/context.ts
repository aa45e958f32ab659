// What the parts of the writer share: the ports, the identity of this replica, and where outcomes are told.

import type { Clock, Random } from '../clock.ts';
import type { PodRef } from '../domain/instance.ts';
import type { HeartbeatOffset } from '../domain/service-instance.ts';
import type { Log } from '../log.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { Row } from '../table/row.ts';
import type { Write } from '../table/write.ts';
import type { Findings } from './audit.ts';
import type { OrphanSettings } from './orphan.ts';
import type { CommitOutcome, Registry } from './registry.ts';
import type { WriteBudget } from './write-budget.ts';

/**
 * What this replica knows of the cluster. `none`: it has not been listed, so nobody can be said to be gone, nor be new.
 * `gathering`: it has, and pods are being decided about. `complete`: every row that the views ask for is in the table.
 */
export type Knowledge = 'none' | 'gathering' | 'complete';

export type WriterContext = {
  readonly registry: Registry;
  readonly table: InstanceTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bucket: string;
  readonly operatorId: string;
  /** This process, for the lock: unique per start. */
  readonly replicaId: string;
  readonly offset: HeartbeatOffset;
  /** Of this program. */
  readonly version: string;
  readonly budget: WriteBudget;
  readonly knowledge: () => Knowledge;
  /** For how long the views have not been proved right; Infinity: they never were. */
  readonly viewAgeMs: () => number;
  /** The views were proved right a moment ago; else what they do not show may live all the same. */
  readonly fresh: () => boolean;
  /** The views are fresh, but for those of this namespace. */
  readonly isUnread: (namespace: string) => boolean;
  /** Monotonic: as of when what the views say of a namespace was proven right; -Infinity: it never was. */
  readonly provenAtMs: (namespace: string) => number;
  /** This incarnation of a pod is in view. */
  readonly sees: (pod: PodRef) => boolean;
  /** Too much is missing from the views to be believed: they are to be confirmed by another list. */
  readonly doubt: () => void;
  /** False: the row's pod has been out of sight for so long that its key is left to lapse. */
  readonly mayKeep: (row: Row) => boolean;
  /** What to do with the key of a pod that is gone, or may be, by the settings of its service. */
  readonly settingsOf: (namespace: string, serviceName: string) => OrphanSettings;
  readonly observer: WriterObserver;
};

export type WriterObserver = {
  /** A write of a key was acknowledged; the row still shows what was observed before. */
  written(write: Write): void;
  /** A batch, with its keys and the ms from sending to the answer. */
  batch(outcome: CommitOutcome['kind'], keys: number, tookMs: number): void;
  /** A key that should have stood was found gone. */
  lapsed(row: Row): void;
  /**
   * Rows whose keys should have stood, and were found missing at the start of a term; so many of them had stood in an
   * earlier term of this replica.
   */
  missing(rows: readonly Row[], lapsed: number): void;
  conflict(row: Row): void;
  /** What the stream holds was compared with what it should. */
  audited(found: Findings): void;
};
