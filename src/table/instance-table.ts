// The table between the two loops: one row per key, its desired half edited by the reconcilers, its observed half by
// the writer's settlements. It knows which row is due when; it knows neither Kubernetes nor NATS, and does no I/O.
// On a replica that does not lead, rows are kept but nothing is scheduled: the table is warm.

import type { Clock } from '../clock.ts';
import type { InstanceKey, Wish } from '../domain/instance.ts';
import { generatedInstanceId, instanceKey, podNameInstanceId } from '../domain/names.ts';
import { type ObjectKey, objectKey } from '../domain/pod.ts';
import type { InstanceReport } from '../domain/registration-status.ts';
import { encodeInstance } from '../domain/service-instance.ts';
import type { Revision } from '../writer/registry.ts';
import { BlockedWishes, isOlder } from './blocked-wishes.ts';
import { type DueWrite, Lanes, TICK_MS } from './lanes.ts';
import {
  type EncodedValue,
  nextStep,
  type Observed,
  type Row,
  reportOf,
  SETTLED,
  sameText,
  type WriteReason,
} from './row.ts';
import { RowIndex } from './row-index.ts';
import { fractionOf, nextRefreshMs } from './spread.ts';

export type Write = {
  readonly row: Row;
  readonly operation: 'PUT' | 'PURGE';
  readonly reason: WriteReason;
  /** What the row wanted when it was taken; it may want something else by the time the batch is acknowledged. */
  readonly wish: Wish;
  readonly text: EncodedValue;
  readonly expectedRevision: Revision;
};

export type Taken = { readonly writes: readonly Write[]; readonly reads: readonly Row[] };

export type TableListener = {
  /** Something must be written or read as soon as the writer is free. */
  onUrgent(): void;
  /** What people are told about this registration's instances changed. */
  onReport(registration: ObjectKey): void;
};

export class InstanceTable {
  readonly #clock: Clock;
  readonly #listener: TableListener;
  readonly #index = new RowIndex();
  readonly #lanes: Lanes;
  readonly #blocked = new BlockedWishes();
  /** Rows read back from the stream for pods the view did not show, with the monotonic ms until they are held. */
  readonly #unseen = new Map<Row, number>();
  #leading = false;
  /** Rows whose key is seen to be ours. */
  #ours = 0;

  constructor(clock: Clock, listener: TableListener) {
    this.#clock = clock;
    this.#listener = listener;
    this.#lanes = new Lanes(clock.monotonicMs(), () => listener.onUrgent());
  }

  // ---- desired half: the reconcilers' ----

  /**
   * Everything the pod of this name wants, under all registrations; `uid` is its incarnation, undefined when it is
   * gone. Rows of the name that nothing continues say farewell, unless `freeze` gives the wish that stays in force for
   * one, because its registration's spec is invalid.
   */
  setWishes(
    pod: ObjectKey,
    uid: string | undefined,
    wishes: readonly Wish[],
    freeze: (held: Wish) => Wish | undefined = () => undefined,
  ): void {
    for (const { wish } of this.#blocked.takePod(pod)) this.#listener.onReport(wish.registration);
    const rows = [...this.#index.ofPod(pod)];
    const fresh: Wish[] = [];
    const kept = new Set<Row>();
    for (const wish of wishes) {
      const row = rows.find((candidate) => continues(candidate.wish, wish));
      if (row === undefined) fresh.push(wish);
      else kept.add(this.#update(row, wish));
    }
    for (const row of rows) {
      if (kept.has(row)) continue;
      const gone = row.wish.pod.uid !== uid;
      const frozen = gone || row.farewell ? undefined : freeze(row.wish);
      if (frozen === undefined) this.#farewell(row, gone);
      else this.#update(row, frozen);
    }
    // After the farewells: a pod replaced under its name takes over the key of the one before.
    for (const wish of fresh) this.#claim(wish);
  }

  /** Whether a pod has a row under a registration. */
  holds(pod: ObjectKey, registration: ObjectKey): boolean {
    return this.#index.ofPod(pod).some((row) => !row.farewell && row.wish.registration === registration);
  }

  /** The row of a pod's incarnation under a service. */
  rowOf(pod: ObjectKey, uid: string, serviceName: string): Row | undefined {
    const rows = this.#index.ofPod(pod);
    return rows.find(({ wish, farewell }) => !farewell && wish.pod.uid === uid && wish.serviceName === serviceName);
  }

  /** Rows of a registration, farewells left out, for its status. */
  reports(registration: ObjectKey): readonly InstanceReport[] {
    const nowMs = this.#clock.monotonicMs();
    const reports: InstanceReport[] = [];
    for (const row of this.#index.ofRegistration(registration)) {
      if (row.farewell) continue;
      const { wish, observed } = row;
      const owner = observed.kind === 'foreign' ? { heldBy: observed.owner } : {};
      const { status, reason } = reportOf(row, nowMs);
      reports.push({
        pod: wish.pod.name,
        instanceId: row.instanceId,
        key: row.key,
        status,
        ...(reason === undefined ? {} : { reason }),
        ...owner,
        ready: wish.state.kind === 'live',
        version: wish.content.version,
        ...(wish.versionNote === undefined ? {} : { versionNote: wish.versionNote }),
        inForce: wish,
        sinceMs: row.report.sinceMs,
      });
    }
    for (const { key, wish } of this.#blocked.of(registration)) reports.push(this.#blockedReport(key, wish));
    return reports;
  }

  // ---- observed half: the writer's ----

  /** A term begins: what the stream holds under each key, as read back under the lock. Oldest write first from here. */
  lead(observed: (row: Row) => Observed): void {
    const rows = [...this.#index.all()];
    for (const row of rows) {
      this.#see(row, observed(row));
      if (row.observed.kind === 'ours' && row.observed.status === 'ACTIVE') row.wishedAtMs = SETTLED;
      row.inFlight = false;
      row.refreshDueMs = 0;
    }
    rows.sort((a, b) => revisionOf(a.observed) - revisionOf(b.observed));
    this.#leading = true;
    for (const row of rows) {
      this.#schedule(row);
      this.#noteReport(row);
    }
  }

  /** Stops scheduling; what was observed stays for status until the next term. */
  stopLeading(): void {
    this.#leading = false;
    for (const row of [...this.#index.all()]) {
      this.#lanes.remove(row);
      row.inFlight = false;
      if (row.farewell || this.#unseen.has(row)) this.#remove(row);
    }
  }

  rows(): IterableIterator<Row> {
    return this.#index.all();
  }

  get(key: InstanceKey): Row | undefined {
    return this.#index.get(key);
  }

  get size(): number {
    return this.#index.size;
  }

  /**
   * What is due: at most `limit` writes, urgent first and oldest first, and as many reads. Each is to be settled.
   * `mayKeep` false: the key of this Ready pod is not written now, whether it stands or not.
   */
  take(limit: number, mayKeep: (row: Row) => boolean): Taken {
    const nowMs = this.#clock.monotonicMs();
    this.#lanes.advance(nowMs, (row) => this.#schedule(row, nowMs));
    const reads = this.#lanes.takeReads(limit);
    for (const row of reads) row.inFlight = true;
    const due = this.#lanes.takeWrites(limit, nowMs, mayKeep, (row) => this.#schedule(row, nowMs));
    return { writes: due.map(takeOff), reads };
  }

  /** At most `limit` urgent writes and nothing else, for a last batch. */
  takeUrgent(limit: number): readonly Write[] {
    const nowMs = this.#clock.monotonicMs();
    return this.#lanes.takeUrgent(limit, nowMs, (row) => this.#schedule(row, nowMs)).map(takeOff);
  }

  /** At least `standing`, and known without asking every row. */
  get ours(): number {
    return this.#ours;
  }

  /** How many live keys the stream must hold, by what it acknowledged: fewer messages than this means a purge. */
  standing(): number {
    const nowMs = this.#clock.monotonicMs();
    let count = 0;
    for (const { observed, wish } of this.#index.all()) {
      if (wish.state.kind !== 'live' || observed.kind !== 'ours') continue;
      if (nowMs < observed.writtenAtMs + observed.ttlMs / 2) count += 1;
    }
    return count;
  }

  /** Monotonic ms at which the wheel next hands out rows. */
  nextTickMs(): number {
    return this.#lanes.nextTickMs();
  }

  /** The write was acknowledged as `revision`. `nowMs`: the monotonic time, one for a whole batch. */
  written(write: Write, revision: Revision, heartbeatMs: number, nowMs = this.#clock.monotonicMs()): void {
    const { row } = write;
    row.refreshDueMs = nextRefreshMs(nowMs, row.wish.intervalMs, TICK_MS, row.fraction);
    if (write.wish.state.kind === row.wish.state.kind) row.wishedAtMs = SETTLED;
    this.observe(
      row,
      write.operation === 'PURGE'
        ? { kind: 'none', revision }
        : {
            kind: 'ours',
            revision,
            status: write.wish.state.kind === 'live' ? 'ACTIVE' : 'UNHEALTHY',
            text: write.text,
            ttlMs: write.wish.ttlMs,
            writtenAtMs: nowMs,
            heartbeatMs,
          },
      nowMs,
    );
  }

  /** The stream was read, or refused a write and said why: this is what it holds. */
  observe(row: Row, observed: Observed, nowMs = this.#clock.monotonicMs()): void {
    this.#see(row, observed);
    row.inFlight = false;
    // When to look again: at somebody else's key, and at one of ours that should have lapsed.
    if (observed.kind === 'foreign' || (observed.kind === 'ours' && row.wish.state.kind === 'away')) {
      row.refreshDueMs = nowMs + row.wish.intervalMs;
    }
    this.#schedule(row, nowMs);
    this.#noteReport(row, nowMs);
  }

  /** Nothing of this was written: each row is decided anew, in front of those that wait already. */
  release(writes: readonly Write[]): void {
    for (const { row } of writes.toReversed()) {
      row.inFlight = false;
      this.#schedule(row);
      this.#lanes.toFront(row);
    }
  }

  /** The server will not have this one: it is tried again after `waitMs`, or as soon as it is to read otherwise. */
  putOff({ row }: Write, waitMs: number): void {
    row.inFlight = false;
    this.#lanes.putOff(row, this.#clock.monotonicMs() + waitMs);
  }

  /** The rows could not be read: they stay to be read. */
  releaseReads(rows: readonly Row[]): void {
    for (const row of rows) {
      row.inFlight = false;
      this.#schedule(row);
    }
  }

  /** A key of ours in the stream that nobody here wishes for: it gets its farewell. */
  adoptOrphan(wish: Wish, instanceId: string, key: InstanceKey, observed: Observed): void {
    const row = this.#create(wish, instanceId, key, observed);
    row.farewell = true;
    this.#schedule(row);
  }

  /**
   * A key of ours whose pod the view does not show, though it may live: kept up until its pod is decided about, which
   * `unseenPods` asks for after `holdMs`.
   */
  adoptUnseen(wish: Wish, instanceId: string, key: InstanceKey, observed: Observed, holdMs = 0): void {
    const standing = observed.kind === 'ours' && observed.status !== 'UNHEALTHY';
    const state: Wish['state'] = standing ? { kind: 'live' } : { kind: 'away', reason: 'Terminating' };
    this.#unseen.set(this.#create({ ...wish, state }, instanceId, key, observed), this.#clock.monotonicMs() + holdMs);
  }

  /** The pods of such keys: to be decided about as soon as the view is fresh. */
  unseenPods(): readonly ObjectKey[] {
    const nowMs = this.#clock.monotonicMs();
    return Array.from(this.#unseen).flatMap(([{ wish }, untilMs]) =>
      nowMs < untilMs ? [] : objectKey(wish.pod.namespace, wish.pod.name),
    );
  }

  /** Keys of pods that the view does not show, and that are not to be decided about yet. */
  get held(): number {
    const nowMs = this.#clock.monotonicMs();
    let held = 0;
    for (const untilMs of this.#unseen.values()) if (nowMs < untilMs) held += 1;
    return held;
  }

  /** The pod's key stands in the stream under another id: the row takes that, and whoever had it here another one. */
  assign(row: Row, instanceId: string, key: InstanceKey): void {
    const { wish } = row;
    const displaced = this.#index.get(key);
    this.#remove(row);
    if (displaced !== undefined) this.#drop(displaced);
    this.#create(wish, instanceId, key, { kind: 'none', revision: 0 });
    if (displaced !== undefined && !displaced.farewell) this.#claim(displaced.wish, false);
  }

  // ---- inside ----

  #see(row: Row, observed: Observed): void {
    const isOurs = observed.kind === 'ours';
    // A write may be acknowledged after its row has left.
    if (isOurs !== (row.observed.kind === 'ours') && this.#index.has(row)) this.#ours += isOurs ? 1 : -1;
    row.observed = observed;
    if (observed.kind === 'ours') row.heartbeatMs = Math.max(row.heartbeatMs, observed.heartbeatMs);
  }

  /** `contest`: a younger pod's key that is not written yet may be taken over. */
  #claim(wish: Wish, contest = true): void {
    const ids =
      wish.instanceIdMode === 'PodName'
        ? [podNameInstanceId(wish.pod.name)]
        : [
            generatedInstanceId(wish.serviceName, wish.pod.uid, 8),
            generatedInstanceId(wish.serviceName, wish.pod.uid, 16),
          ];
    let taken: InstanceKey | undefined;
    for (const id of ids) {
      const key = instanceKey(wish.serviceName, id);
      if (key === undefined) throw new RangeError(`no key for service ${wish.serviceName} and instance ${id}`);
      const holder = this.#index.get(key);
      if (holder === undefined) {
        this.#create(wish, id, key, { kind: 'none', revision: 0 });
        return;
      }
      if (holder.farewell) {
        this.#hand(holder, wish);
        return;
      }
      if (contest && this.#olderTakes(holder, wish)) {
        const loser = holder.wish;
        this.#hand(holder, wish);
        this.#claim(loser);
        return;
      }
      taken = key;
    }
    if (taken === undefined) return;
    this.#blocked.add(taken, wish);
    this.#listener.onReport(wish.registration);
  }

  /** Two pods with one id: the older has it. A generated id is not taken back from a key that already stands. */
  #olderTakes(holder: Row, wish: Wish): boolean {
    if (wish.instanceIdMode === 'Generated' && holder.observed.kind === 'ours') return false;
    return isOlder(wish, holder.wish);
  }

  #create(wish: Wish, instanceId: string, key: InstanceKey, observed: Observed): Row {
    const row: Row = {
      key,
      instanceId,
      fraction: fractionOf(key),
      wish,
      farewell: false,
      text: textOf(wish, instanceId),
      observed,
      heartbeatMs: observed.kind === 'ours' ? observed.heartbeatMs : 0,
      wishedAtMs: this.#clock.monotonicMs(),
      refreshDueMs: 0,
      inFlight: false,
      report: { status: 'Pending', reason: 'Registering', sinceMs: this.#clock.wallMs() },
      list: undefined,
      previous: undefined,
      next: undefined,
      dueMs: 0,
    };
    this.#index.add(row);
    if (observed.kind === 'ours') this.#ours += 1;
    this.#schedule(row);
    this.#noteReport(row);
    this.#listener.onReport(wish.registration);
    return row;
  }

  /** The key passes to another wish (a pod replaced under one name): what was observed and is in flight stays. */
  #hand(row: Row, wish: Wish): void {
    this.#update(row, wish);
    this.#listener.onReport(wish.registration);
  }

  #update(row: Row, wish: Wish): Row {
    const told = row.wish;
    const revived = row.farewell;
    if (told.registration !== wish.registration || told.pod.uid !== wish.pod.uid) {
      this.#index.move(row, () => {
        row.wish = wish;
      });
    }
    const nowMs = this.#clock.monotonicMs();
    if (told.state.kind !== wish.state.kind) row.wishedAtMs = nowMs;
    if (wish.intervalMs < told.intervalMs) {
      row.refreshDueMs = Math.min(row.refreshDueMs, nextRefreshMs(nowMs, wish.intervalMs, TICK_MS, row.fraction));
    }
    row.wish = wish;
    row.farewell = false;
    this.#unseen.delete(row);
    const text = textOf(wish, row.instanceId);
    row.text = sameText(text, row.text) ? row.text : text;
    this.#schedule(row, nowMs);
    this.#noteReport(row, nowMs);
    const moved = told.registration !== wish.registration;
    if (moved) this.#listener.onReport(told.registration);
    if (moved || revived || !readsTheSame(told, wish)) this.#listener.onReport(wish.registration);
    return row;
  }

  #farewell(row: Row, gone: boolean): void {
    if (row.farewell) return;
    const wish: Wish = { ...row.wish, state: { kind: 'away', reason: gone ? 'Terminating' : 'Deselected' } };
    row.farewell = true;
    if (row.wish.state.kind === 'live') row.wishedAtMs = this.#clock.monotonicMs();
    row.wish = wish;
    row.text = textOf(wish, row.instanceId);
    this.#listener.onReport(wish.registration);
    this.#schedule(row);
  }

  /** Puts the row where its next step says, or lets it go when it has none and nobody wishes for it. */
  #schedule(row: Row, nowMs = this.#clock.monotonicMs()): void {
    if (row.inFlight || !this.#index.has(row)) return;
    if (!this.#leading) {
      if (row.farewell) this.#remove(row);
      return;
    }
    const step = nextStep(row, nowMs);
    if (row.farewell && (step.kind === 'rest' || step.kind === 'wait')) {
      this.#remove(row);
      return;
    }
    this.#lanes.place(row, step);
  }

  #noteReport(row: Row, nowMs = this.#clock.monotonicMs()): void {
    const { status, reason } = reportOf(row, nowMs);
    if (row.report.status === status && row.report.reason === reason) return;
    row.report = { status, reason, sinceMs: this.#clock.wallMs() };
    this.#listener.onReport(row.wish.registration);
  }

  #blockedReport(key: InstanceKey, wish: Wish): InstanceReport {
    const holder = this.#index.get(key)?.wish.pod;
    return {
      pod: wish.pod.name,
      key,
      status: wish.state.kind === 'live' ? 'Conflict' : 'Pending',
      reason: wish.state.kind === 'live' ? 'SameInstanceId' : wish.state.reason,
      ...(holder === undefined ? {} : { heldBy: `pod ${holder.namespace}/${holder.name}` }),
      ready: wish.state.kind === 'live',
      version: wish.content.version,
      sinceMs: wish.podCreatedAtMs,
    };
  }

  /** The row goes; whoever waited for its key has it now. */
  #remove(row: Row): void {
    this.#drop(row);
    const heir = this.#blocked.takeHeir(row.key);
    if (heir !== undefined) this.#create(heir, row.instanceId, row.key, row.observed);
  }

  #drop(row: Row): void {
    this.#lanes.remove(row);
    this.#unseen.delete(row);
    if (this.#index.has(row) && row.observed.kind === 'ours') this.#ours -= 1;
    this.#index.remove(row);
  }
}

/** The same pod incarnation under the same service with the same kind of id keeps its row. */
const continues = (held: Wish, wish: Wish): boolean =>
  held.pod.uid === wish.pod.uid && held.serviceName === wish.serviceName && held.instanceIdMode === wish.instanceIdMode;

/** Nothing of it is told otherwise in the registration's status. */
const readsTheSame = (a: Wish, b: Wish): boolean =>
  a.versionNote === b.versionNote &&
  a.content.version === b.content.version &&
  a.ttlMs === b.ttlMs &&
  a.intervalMs === b.intervalMs &&
  a.whenNotReady === b.whenNotReady;

/** The row is under way from now on, with what it wants at this moment. */
const takeOff = ({ row, step }: DueWrite): Write => {
  row.inFlight = true;
  return {
    row,
    operation: step.kind === 'purge' ? 'PURGE' : 'PUT',
    reason: step.reason,
    wish: row.wish,
    text: row.text,
    expectedRevision: revisionOf(row.observed),
  };
};

const revisionOf = (observed: Observed): Revision => (observed.kind === 'unknown' ? 0 : observed.revision);

const textOf = (wish: Wish, instanceId: string): EncodedValue =>
  encodeInstance(wish.content, instanceId, wish.state.kind === 'live' ? 'ACTIVE' : 'UNHEALTHY');
