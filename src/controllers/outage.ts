// How well this replica sees the cluster, and what becomes of keys while it does not: `apiOutage`. That nothing is removed
// because it cannot be seen is the reflectors' and the take-over's doing; here refreshes end.
//
//   mode  | the view is blind: a Ready pod's key is refreshed
//   ------+---------------------------------------------------------------------------------
//   Hold  | for as long as it lasts
//   Probe | while the pod answers probes; until two in a row fail; one without probes for `maxHoldSeconds`, then let go
//         | at a moment of its own within a minute
//   Lapse | no more

import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { InstanceTable } from '../table/instance-table.ts';
import type { Row } from '../table/row.ts';
import { PodProbes, type Sight } from './pod-probes.ts';
import type { ProbeOutcome, Prober } from './prober.ts';
import type { Views } from './views.ts';

/** A view without proof for this long is old: what it says of the living may be wrong. */
const BLIND_AFTER_MS = 15_000;
/** Proofs come each 5 s, and each takes up to 3 s; this late something is wrong. */
const DOUBTFUL_AFTER_MS = 10_000;
/** Keys nobody can vouch for any more lapse spread over this, not all at once. */
const LET_GO_WITHIN_MS = 60_000;

export type OutageContext = {
  readonly views: Pick<Views, 'pods' | 'registrations'>;
  readonly table: Pick<InstanceTable, 'rows'>;
  readonly prober: Prober;
  readonly clock: Clock;
  readonly log: Log;
  readonly onProbe: (outcome: ProbeOutcome) => void;
  /** All that counts for pods of the namespace has been listed, or not even what may be read. */
  readonly knows: (namespace: string) => boolean;
};

export class Outage {
  readonly probes: PodProbes;
  readonly #views: OutageContext['views'];
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #knows: OutageContext['knows'];

  constructor({ views, table, prober, clock, log, onProbe, knows }: OutageContext) {
    this.#views = views;
    this.#knows = knows;
    this.#clock = clock;
    this.#startedAtMs = clock.monotonicMs();
    this.probes = new PodProbes({
      rows: () => table.rows(),
      podOf: (key) => views.pods.get(key),
      sight: () => this.sight,
      prober,
      clock,
      log,
      onProbe,
    });
  }

  /** Since the API server last proved what we see; Infinity: it never did. */
  get viewAgeMs(): number {
    return this.#clock.monotonicMs() - this.#provenAtMs;
  }

  get sight(): Sight {
    const ageMs = this.viewAgeMs;
    if (ageMs < DOUBTFUL_AFTER_MS) return 'fresh';
    return ageMs < BLIND_AFTER_MS ? 'doubtful' : 'blind';
  }

  /** Monotonic: when the API server last proved what we see of a namespace. */
  provenAtMs(namespace: string): number {
    const { pods, registrations } = this.#views;
    if (!this.#knows(namespace)) return Number.NEGATIVE_INFINITY;
    return Math.min(pods.provenAtMs(namespace), registrations.provenAtMs(namespace));
  }

  /** What we see of a namespace is not old. */
  isFresh(namespace: string): boolean {
    return this.#clock.monotonicMs() < this.provenAtMs(namespace) + BLIND_AFTER_MS;
  }

  /** False: the row's key is left to lapse, though nobody said that its pod is gone. */
  mayKeep({ wish, fraction }: Row): boolean {
    const blindForMs = this.#blindForMs(wish.pod.namespace);
    if (blindForMs < 0) return true;
    const { mode, maxHoldSeconds } = wish.apiOutage;
    if (mode !== 'Probe') return mode === 'Hold';
    // Probes are judged while nothing can be seen. Where this namespace alone may not be read, or could not before, time
    // alone decides.
    const isOwn = this.#provenAtMs - this.provenAtMs(wish.pod.namespace) > BLIND_AFTER_MS;
    const sign = this.sight === 'blind' && !isOwn ? this.probes.signOf(wish.pod.uid) : 'unknown';
    if (sign !== 'unknown') return sign === 'answers';
    return blindForMs < maxHoldSeconds * 1_000 + LET_GO_WITHIN_MS * fraction;
  }

  /** Negative: not yet. A replica that never saw anything counts from its start. */
  #blindForMs(namespace: string): number {
    const nowMs = this.#clock.monotonicMs();
    const blindAtMs = this.provenAtMs(namespace) + BLIND_AFTER_MS;
    return nowMs < blindAtMs ? -1 : nowMs - Math.max(blindAtMs, this.#startedAtMs);
  }

  get #provenAtMs(): number {
    return Math.min(this.#views.pods.lastProofAtMs, this.#views.registrations.lastProofAtMs);
  }
}
