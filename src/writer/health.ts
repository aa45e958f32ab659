// Whether the registry can be written, as people are told: one record of the last word from the bucket check and from
// the batches. A passing hiccup is no news: silence is told only after a while.

import type { Clock } from '../clock.ts';
import type { Refusal, RegistryHealth } from '../domain/registration-status.ts';
import type { Log } from '../log.ts';
import { ClockSkew } from './clock-skew.ts';
import type { BucketReport, RejectReason } from './registry.ts';

/** Shorter silences are the ordinary fail-over of a NATS cluster. */
const UNAVAILABLE_AFTER_MS = 5_000;

const REASONS: Readonly<Record<RejectReason, Refusal['reason']>> = {
  Denied: 'RegistryDenied',
  Full: 'RegistryFull',
  TooLarge: 'RegistryUnsupported',
  Unsupported: 'RegistryUnsupported',
  NoStream: 'RegistryUnsupported',
  Other: 'RegistryUnsupported',
};

/** How people are told why the registry will not have something. */
export const refusalReason = (reason: RejectReason): Refusal['reason'] => REASONS[reason];

export type BucketRoom = { readonly bytes: number; readonly maxBytes: number };

export class HealthRecord {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onChange: () => void;
  #current: RegistryHealth = { kind: 'writable', maxAgeSeconds: 0 };
  #maxAgeSeconds = 0;
  #lastWellMs: number;
  readonly #skew = new ClockSkew();
  #room: BucketRoom | undefined;
  #everLed = false;
  /** What broke it: only a batch can mend what a batch found, for a right may be missing that no check asks for. */
  #brokenBy: 'check' | 'batch' | undefined;

  constructor(clock: Clock, log: Log, onChange: () => void) {
    this.#clock = clock;
    this.#log = log;
    this.#onChange = onChange;
    this.#lastWellMs = clock.monotonicMs();
  }

  current(): RegistryHealth {
    return this.#current;
  }

  /** For how long nothing was known to be stored; 0 while the registry can be written. */
  get unwellForMs(): number {
    return this.#current.kind === 'broken' ? this.#clock.monotonicMs() - this.#lastWellMs : 0;
  }

  /** No replica is known to have held the lock since this one started. */
  get neverLed(): boolean {
    return !this.#everLed;
  }

  led(): void {
    this.#everLed = true;
  }

  /** A batch was acknowledged, by this replica or, as the lock shows, by another. */
  well(): void {
    this.#lastWellMs = this.#clock.monotonicMs();
    this.#set({ kind: 'writable', maxAgeSeconds: this.#maxAgeSeconds });
  }

  /** A batch was not stored, though it may be later. */
  trouble(description: string): void {
    this.#silence(description, 'batch');
  }

  /** The registry could not be asked. */
  unreachable(description: string): void {
    this.#silence(description, 'check');
  }

  #silence(description: string, by: 'check' | 'batch'): void {
    if (this.#clock.monotonicMs() - this.#lastWellMs < UNAVAILABLE_AFTER_MS) return;
    // What batches found wrong only a batch finds mended.
    this.#break('RegistryUnavailable', description, this.#brokenBy === 'batch' ? 'batch' : by);
  }

  rejected(reason: RejectReason, description: string): void {
    this.#break(REASONS[reason], description, 'batch');
  }

  /** How far the server's clock is off ours. */
  get skew(): ClockSkew {
    return this.#skew;
  }

  /** How full the bucket was when last seen; undefined: it has no limit, or was not seen. */
  get room(): BucketRoom | undefined {
    return this.#room;
  }

  bucket(report: BucketReport): void {
    switch (report.kind) {
      case 'usable':
        this.#room = report.maxBytes > 0 ? { bytes: report.bytes, maxBytes: report.maxBytes } : undefined;
        this.#noteSkew(report.clockOffsetMs);
        this.#maxAgeSeconds = report.maxAgeSeconds;
        if (this.#brokenBy === 'check') this.well();
        return;
      case 'unsupported':
        this.#break('RegistryUnsupported', report.reasons.join('; '), 'check');
        return;
      case 'missing':
        this.#break('RegistryUnavailable', report.description, 'check');
        return;
      case 'denied':
        this.#break('RegistryDenied', report.description, 'check');
        return;
      case 'unavailable':
        this.unreachable(report.description);
    }
  }

  #noteSkew(offsetMs: number | undefined): void {
    if (offsetMs === undefined || !this.#skew.measured(offsetMs)) return;
    const { seconds } = this.#skew;
    if (seconds === 0) this.#log.info({ offsetMs }, 'the clock of the NATS server and ours agree');
    else this.#log.warn({ offsetMs }, 'the clock of the NATS server and ours differ');
    this.#onChange();
  }

  #break(reason: Extract<RegistryHealth, { kind: 'broken' }>['reason'], message: string, by: 'check' | 'batch'): void {
    this.#set({ kind: 'broken', reason, message, maxAgeSeconds: this.#maxAgeSeconds }, by);
  }

  #set(next: RegistryHealth, by?: 'check' | 'batch'): void {
    const before = this.#current;
    this.#current = next;
    this.#brokenBy = by;
    const same =
      before.kind === next.kind &&
      (before.kind === 'writable' || next.kind === 'writable' || before.reason === next.reason) &&
      (before.kind === 'broken' || next.kind === 'broken' || before.maxAgeSeconds === next.maxAgeSeconds);
    if (same) return;
    if (next.kind === 'broken') this.#log.warn({ reason: next.reason, message: next.message }, 'registry not writable');
    else if (before.kind === 'broken') this.#log.info({}, 'registry writable again');
    this.#onChange();
  }
}
