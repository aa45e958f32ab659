// Shows people who leads: `kubectl -n rollcall-system get lease rollcall`. A copy of what the lock in the stream says,
// written by its holder; never read, and nothing is decided by it. When it cannot be written, that is counted and told once.

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Cluster } from './cluster.ts';

const LOOK_EVERY_MS = 1_000;
const RENEW_EVERY_MS = 10_000;
/** As the Lease says: after this without a renewal nobody is known to lead. */
const LEASE_SECONDS = 30;
const LEASE_NAME = 'rollcall';

export type LeaseMirrorContext = {
  readonly cluster: Pick<Cluster, 'applyLease'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Where the Lease is; undefined: there is none. */
  readonly namespace: string | undefined;
  readonly holder: string;
  /** The number of the term while this replica leads. */
  readonly term: () => number | undefined;
  readonly onFailure: () => void;
};

/** Runs until the signal aborts. */
export const mirrorLease = async (context: LeaseMirrorContext, signal: AbortSignal): Promise<void> => {
  const { clock, namespace, term, onFailure, log } = context;
  if (namespace === undefined) return;
  let shown: number | undefined;
  let acquiredAtMs = 0;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let told: string | undefined;
  while (!signal.aborted) {
    const current = term();
    const nowMs = clock.monotonicMs();
    if (current !== undefined && shown === undefined) acquiredAtMs = clock.wallMs();
    const isNews = (current === undefined) !== (shown === undefined);
    shown = current;
    if (current !== undefined && (isNews || nowMs - triedAtMs >= RENEW_EVERY_MS)) {
      triedAtMs = nowMs;
      const problem = await apply(context, namespace, acquiredAtMs, signal);
      if (problem !== undefined && !signal.aborted) {
        onFailure();
        if (told !== problem) log.warn({ namespace, problem }, 'the Lease that shows who leads was not written');
      }
      told = problem;
    }
    await clock.sleep(LOOK_EVERY_MS, signal);
  }
};

const apply = async (
  { cluster, clock, holder }: LeaseMirrorContext,
  namespace: string,
  acquiredAtMs: number,
  signal: AbortSignal,
): Promise<string | undefined> => {
  try {
    const lease = {
      namespace,
      name: LEASE_NAME,
      holder,
      seconds: LEASE_SECONDS,
      acquiredAtMs,
      renewedAtMs: clock.wallMs(),
    };
    const outcome = await cluster.applyLease(lease, signal);
    return outcome.kind === 'done' ? undefined : 'description' in outcome ? outcome.description : outcome.kind;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};
