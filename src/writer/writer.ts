// The writer: stands by until it holds the lock, then makes the registry agree with the table, one fenced batch at a
// time, until it is told to stop, is refused, or has not been acknowledged for too long. One loop, one batch in flight.
//
//   standing by --lock lapses or is released, taken--> reading back --> writing --stop--> lock released in a last batch
//        ^                                                 |               |
//        +--- refused, fenced, outcome unknown, stream made anew, purged --+
//
// A replica that could not list the cluster yet leads too, when nobody else does: it keeps up what it reads back, makes
// nothing and says farewell to nobody, and begins a new term once it has listed (`Term.blind`).

import type { RegistryHealth } from '../domain/registration-status.ts';
import type { Taken } from '../table/instance-table.ts';
import type { Row } from '../table/row.ts';
import { Wakeup } from '../wakeup.ts';
import { announce, awaitFresher } from './announcement.ts';
import { audit } from './audit.ts';
import { KEYS_PER_BATCH, type KeyMessage, planKey, subjectOf } from './batch-plan.ts';
import { commitWrites, judgeContext, LOCK_GONE, learn, planContext, planKeys } from './commit.ts';
import type { WriterContext } from './context.ts';
import { elect } from './election.ts';
import { type BucketRoom, HealthRecord } from './health.ts';
import { inspect } from './inspection.ts';
import { judge } from './judge.ts';
import { FENCE_MS, holderOf, lockSubject, RENEW_EVERY_MS, release, type Term, UNSTOPPABLE } from './lock.ts';
import { RegistryError } from './registry.ts';
import { takeOver } from './take-over.ts';

const RETRY_FLOOR_MS = 50;
const RETRY_CEILING_MS = 1_000;
/** New keys that waited for room are taken up so much later at most. */
const CREATES_TURN_MS = 500;
/** Whoever was yielded to and did not take the lock may not be able to: it is not offered again at once. */
const YIELD_EVERY_MS = 30_000;

/** A batch taken and planned while the one before it was under way. */
type Ahead = Taken & { readonly planned?: readonly KeyMessage[] };

export type Voice = 'leader' | 'last' | 'substitute' | 'silent';

export class Writer {
  readonly #context: WriterContext;
  readonly #bell: Wakeup;
  readonly #health: HealthRecord;
  #term: Term | undefined;
  #holder: string | undefined;
  #wasLast = false;
  #ahead: Ahead | undefined;
  /** The connection came back since the lock was last known to be ours. */
  #reconnected = false;
  #yieldedAtMs = Number.NEGATIVE_INFINITY;
  /** Settles the rows of the last batch, which is stored; undefined: they are. */
  #unsettled: (() => void) | undefined;

  constructor(context: WriterContext, onHealth: () => void) {
    this.#context = context;
    this.#bell = new Wakeup(context.clock);
    this.#health = new HealthRecord(context.clock, context.log, onHealth);
    context.registry.onConnectionChange((connected) => {
      if (connected) this.#reconnected = true;
      this.#bell.ring();
    });
  }

  /** Something urgent is in the table. */
  wake(): void {
    this.#bell.ring();
  }

  get leading(): boolean {
    return this.#term !== undefined;
  }

  /**
   * Whether this replica speaks for the installation. `leader`: it leads. `last`: it led last, and nobody else is known
   * to lead since. `substitute`: nobody is known to lead, or ever to have led, and the registry cannot be written, which
   * somebody has to say.
   */
  get voice(): Voice {
    if (this.leading) return 'leader';
    // Cut off from the registry, it goes on seeing itself as the holder.
    const noOther = this.#holder === undefined || this.#holder === this.#context.replicaId;
    if (noOther && this.#wasLast) return 'last';
    const nobody = this.#holder === undefined || this.#health.neverLed;
    return nobody && this.#health.current().kind === 'broken' ? 'substitute' : 'silent';
  }

  /** The replica that holds the lock, as far as is known here. */
  get holder(): string | undefined {
    return this.leading ? this.#context.replicaId : this.#holder;
  }

  /** No replica is known to have led since this one started. */
  get neverLed(): boolean {
    return this.#health.neverLed;
  }

  get term(): number | undefined {
    return this.#term?.number;
  }

  health(): RegistryHealth {
    return this.#health.current();
  }

  /** The NATS server's clock minus ours: as last measured, and as people are told. */
  get clockSkew(): { readonly offsetMs: number; readonly seconds: number } {
    return this.#health.skew;
  }

  get bucketRoom(): BucketRoom | undefined {
    return this.#health.room;
  }

  /** For how long the registry could not be written; 0 while it can be. */
  get unwellForMs(): number {
    return this.#health.unwellForMs;
  }

  /** Runs until the signal aborts; then the lock is released, with what is urgent, in a last batch. */
  async run(signal: AbortSignal): Promise<void> {
    const announcing = announce(this.#context, signal);
    while (!signal.aborted) {
      const { term, following } = await this.#standBy(signal);
      if (term !== undefined) await this.#lead(term, signal);
      await following;
    }
    await announcing;
  }

  /**
   * Waits for the lock, following it so that its lapse is known at once. Only until it is ours: a leader learns from
   * refusals, and a consumer on the stream costs the server a seventh more on every message written.
   */
  async #standBy(signal: AbortSignal): Promise<{ term: Term | undefined; following: Promise<void> }> {
    const taken = new AbortController();
    const following = this.#context.registry.follow(
      lockSubject(this.#context.bucket, this.#context.operatorId),
      (message) => {
        this.#noteHolder(message.operation === 'PUT' ? holderOf(message) : undefined);
        if (message.operation !== 'PUT') this.#bell.ring();
      },
      AbortSignal.any([signal, taken.signal]),
    );
    const term = await elect(
      this.#context,
      this.#bell,
      {
        bucket: (report) => this.#health.bucket(report),
        holder: (replicaId) => this.#noteHolder(replicaId),
        trouble: (description) => this.#health.unreachable(description),
        rejected: (reason, description) => this.#health.rejected(reason, description),
      },
      signal,
    );
    taken.abort();
    return { term, following };
  }

  async #lead(term: Term, stop: AbortSignal): Promise<void> {
    const { log, table, clock } = this.#context;
    const over = new AbortController();
    const abort = () => over.abort();
    stop.addEventListener('abort', abort, { once: true });
    if (stop.aborted) abort();
    let why = 'stopping';
    const end = (reason: string) => {
      why = reason;
      over.abort();
      this.#bell.ring();
    };
    const inspecting = inspect(this.#context, term, (report) => this.#health.bucket(report), over.signal).then(
      (reason) => {
        if (reason !== undefined) end(reason);
      },
    );
    let yields = false;
    const comparing = this.#awaitFresher(term, over.signal).then((fresher) => {
      if (fresher === undefined) return;
      yields = true;
      end(`${fresher} sees the cluster better`);
    });
    const auditing = audit(this.#context, term, () => this.leading, over.signal);
    try {
      const ended = await this.#serve(term, over.signal);
      if (ended !== undefined) why = ended;
      if (stop.aborted || yields) await this.#release(term);
    } finally {
      stop.removeEventListener('abort', abort);
      over.abort();
      this.#term = undefined;
      await table.stopLeading(() => clock.yield());
      log.info({ term: term.number, why }, 'no longer leading');
    }
    await Promise.all([inspecting, comparing, auditing]);
  }

  /** A replica that sees more, to which this one should yield; not one after the other. */
  async #awaitFresher(term: Term, signal: AbortSignal): Promise<string | undefined> {
    const { clock } = this.#context;
    await clock.sleep(Math.max(0, this.#yieldedAtMs + YIELD_EVERY_MS - clock.monotonicMs()), signal);
    const fresher = await awaitFresher(this.#context, term, signal);
    if (fresher !== undefined) this.#yieldedAtMs = clock.monotonicMs();
    return fresher;
  }

  /** Reads back, then writes. Returns why the term is over, undefined when the signal aborted. */
  async #serve(term: Term, signal: AbortSignal): Promise<string | undefined> {
    const { log, clock } = this.#context;
    const startedAtMs = clock.monotonicMs();
    try {
      const found = await takeOver(this.#context, term, () => this.#renewIfDue(term, signal), signal);
      this.#term = term;
      this.#wasLast = true;
      this.#health.led();
      log.info({ term: term.number, ...found, tookMs: Math.round(clock.monotonicMs() - startedAtMs) }, 'leading');
      return await this.#write(term, signal);
    } catch (error) {
      if (!(error instanceof RegistryError) && !(error instanceof TermOver)) throw error;
      // What a stop interrupts is no trouble.
      if (signal.aborted) return undefined;
      if (error instanceof RegistryError) {
        // Until a batch is acknowledged again: that the bucket itself looks well mends nothing.
        if (error.kind === 'denied') this.#health.rejected('Denied', error.message);
        else this.#health.trouble(error.message);
        if (!this.leading) await this.#handBack(term, signal);
      }
      return error.message;
    }
  }

  /** The lock is ours, and what it is for cannot be read: another replica may be able to. */
  async #handBack(term: Term, signal: AbortSignal): Promise<void> {
    const { registry, clock, random } = this.#context;
    if (!registry.connected()) return;
    await this.#release(term);
    await clock.sleep(RETRY_CEILING_MS * (0.5 + random()), signal);
  }

  /** The write loop. Returns why the term is over, undefined when the signal aborted. */
  async #write(term: Term, signal: AbortSignal): Promise<string | undefined> {
    // What was planned in another term is of no use in this one.
    this.#ahead = undefined;
    try {
      return await this.#writeBatches(term, signal);
    } finally {
      this.#settle();
      if (this.#ahead !== undefined) this.#drop(this.#ahead);
      this.#ahead = undefined;
    }
  }

  async #writeBatches(term: Term, signal: AbortSignal): Promise<string | undefined> {
    const { table, clock, random, mayKeep, knowledge, budget } = this.#context;
    let retryMs = RETRY_FLOOR_MS;
    // A full bucket may still take what replaces something: new keys wait, and do not hold up the refreshes.
    let createsFromMs = Number.NEGATIVE_INFINITY;
    const mayWrite = (row: Row) =>
      mayKeep(row) && (row.observed.kind === 'ours' || clock.monotonicMs() >= createsFromMs);
    while (!signal.aborted) {
      if (term.blind && knowledge() !== 'none') return 'the cluster has been listed';
      const nowMs = clock.monotonicMs();
      if (nowMs - term.renewedAtMs > FENCE_MS) return 'no batch was acknowledged for 4 s';
      if (this.#reconnected && !(await this.#stillHolds(term, signal))) return LOCK_GONE;
      const room = Math.min(KEYS_PER_BATCH, budget.keys);
      const { writes, reads, planned } = this.#takeAhead() ?? this.#take(room, mayWrite);
      if (reads.length > 0 || writes.length === 0) this.#settle();
      if (reads.length > 0) await this.#read(term, reads, signal);
      if (writes.length === 0 && nowMs - term.renewedAtMs < RENEW_EVERY_MS) {
        if (reads.length > 0) continue;
        const moreMs = room < KEYS_PER_BATCH ? nowMs + budget.moreInMs : Number.POSITIVE_INFINITY;
        const dueMs = Math.min(table.nextTickMs(), term.renewedAtMs + RENEW_EVERY_MS, moreMs);
        await this.#bell.wait(Math.max(1, dueMs - nowMs), signal);
        continue;
      }
      const result = await commitWrites(this.#context, term, writes, signal, {
        planned,
        meanwhile: () => {
          this.#settle();
          // A full batch that waits already is made ready while the server works on this one.
          if (Math.min(table.waiting.refresh, budget.keys) >= KEYS_PER_BATCH) this.#planAhead(term, mayWrite);
        },
      });
      switch (result.kind) {
        case 'stored':
          // Behind a batch that is ready to be sent.
          this.#unsettled = result.settle;
          if (this.#ahead === undefined) this.#settle();
          // It is well when the new keys had their turn.
          if (nowMs > createsFromMs + CREATES_TURN_MS) this.#health.well();
          retryMs = RETRY_FLOOR_MS;
          break;
        case 'over':
          return result.why;
        case 'rejected':
          this.#health.rejected(result.reason, result.description);
          if (result.reason === 'NoStream') return result.description;
          if (result.reason === 'Full' && writes.some(({ row }) => row.observed.kind !== 'ours')) {
            createsFromMs = clock.monotonicMs() + RETRY_CEILING_MS;
            break;
          }
          await clock.sleep(RETRY_CEILING_MS, signal);
          // The lock may be all that is accepted; without it the next term would begin with the same.
          await this.#renewIfDue(term, signal);
          break;
        case 'retry':
          this.#health.trouble(result.description);
          await clock.sleep(retryMs * (0.5 + random()), signal);
          retryMs = Math.min(retryMs * 2, RETRY_CEILING_MS);
      }
    }
    return undefined;
  }

  /**
   * A server that comes back may have lost what it acknowledged, and gives those revisions a second time: the one that
   * our next batch expects of the lock may be another replica's.
   */
  async #stillHolds(term: Term, signal: AbortSignal): Promise<boolean> {
    const { registry, bucket, operatorId, replicaId } = this.#context;
    this.#reconnected = false;
    const [lock] = await registry.read([lockSubject(bucket, operatorId)], signal);
    return lock?.operation === 'PUT' && lock.revision === term.lockRevision && holderOf(lock) === replicaId;
  }

  #settle(): void {
    const settle = this.#unsettled;
    this.#unsettled = undefined;
    settle?.();
  }

  #take(limit: number, mayWrite: (row: Row) => boolean): Ahead {
    return this.#context.table.take(limit, mayWrite);
  }

  #planAhead(term: Term, mayWrite: (row: Row) => boolean): void {
    const taken = this.#take(KEYS_PER_BATCH, mayWrite);
    // The term of a role is that of the batch before it, and who has it is only known when that is settled.
    if (taken.writes.some(({ handOver }) => handOver !== undefined)) return this.#drop(taken);
    this.#ahead = { ...taken, planned: planKeys(this.#context, term, taken.writes) };
  }

  /** The batch planned ahead; not when something urgent came meanwhile, or something in it is no longer wanted so. */
  #takeAhead(): Ahead | undefined {
    const { table } = this.#context;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead === undefined) return undefined;
    if (table.waiting.urgent === 0 && ahead.writes.every(({ wish, row }) => wish === row.wish)) return ahead;
    this.#drop(ahead);
    this.#settle();
    return undefined;
  }

  #drop({ writes, reads }: Ahead): void {
    this.#context.table.release(writes);
    this.#context.table.releaseReads(reads);
  }

  /** Asks what is under keys of which nothing is known. */
  async #read(
    term: Term,
    rows: ReturnType<WriterContext['table']['take']>['reads'],
    signal: AbortSignal,
  ): Promise<void> {
    const { registry, table, bucket } = this.#context;
    try {
      const messages = await registry.read(
        rows.map((row) => subjectOf(bucket, row.key)),
        signal,
      );
      rows.forEach((row, index) => {
        learn(this.#context, row, judge(messages[index], row.wish.pod, judgeContext(this.#context, term)));
      });
    } catch (error) {
      table.releaseReads(rows);
      throw error;
    }
  }

  /** The lock alone, while the read-back of a large bucket goes on. */
  async #renewIfDue(term: Term, signal: AbortSignal): Promise<void> {
    if (this.#context.clock.monotonicMs() - term.renewedAtMs < RENEW_EVERY_MS) return;
    const result = await commitWrites(this.#context, term, [], signal);
    if (result.kind !== 'stored') throw new TermOver(result.kind === 'over' ? result.why : result.description);
  }

  /** A planned end: the lock goes with the last urgent writes, so that the next replica leads at once. */
  async #release(term: Term): Promise<void> {
    const { table, registry, clock, bucket, operatorId, replicaId, log, observer, budget } = this.#context;
    if (clock.monotonicMs() - term.renewedAtMs > FENCE_MS) return;
    const subject = lockSubject(bucket, operatorId);
    const plan = planContext(this.#context, term);
    // In the middle of a take-over the table does not know yet what stands: a second ACTIVE of a group might be chosen.
    const urgent = this.leading ? table.takeUrgent(Math.min(KEYS_PER_BATCH, budget.keys)) : [];
    let keys = urgent.map((write) => planKey(write, plan));
    let lock = release(subject, term.lockRevision, replicaId, term.number);
    let outcome = await registry.commit([lock, ...keys.map((key) => key.message)], UNSTOPPABLE);
    if (outcome.kind === 'conflict' || (outcome.kind === 'rejected' && keys.length > 0)) {
      // Somebody changed one of the keys, a right to one is missing, or a batch without an answer was stored after all: the lock is what matters.
      const [message] = await registry.read([subject], UNSTOPPABLE).catch(() => []);
      if (message?.operation !== 'PUT' || holderOf(message) !== replicaId) return;
      keys = [];
      lock = release(subject, message.revision, replicaId, term.number);
      outcome = await registry.commit([lock], UNSTOPPABLE);
    }
    if (outcome.kind === 'committed') {
      for (const { write } of keys) observer.written(write);
      log.info({ term: term.number, keys: keys.length }, 'lock released');
    } else {
      log.warn({ term: term.number, outcome }, 'lock not released; it lapses by itself');
    }
  }

  #noteHolder(holder: string | undefined): void {
    this.#holder = holder;
    if (holder === undefined) return;
    this.#health.led();
    if (holder === this.#context.replicaId) return;
    this.#wasLast = false;
    // Whoever was yielded to has led.
    this.#yieldedAtMs = Number.NEGATIVE_INFINITY;
    this.#health.well();
  }
}

/** The term ended in the middle of something. */
class TermOver extends Error {}
