// The table between the two loops: one row per key, its desired half edited by the reconcilers, its observed half by
// the writer's settlements. It knows which row is due when; it knows neither Kubernetes nor NATS, and does no I/O.
// Rows of one service and id are an instance: one pod has all of them, and they are written by one batch.
// On a replica that does not lead, rows are kept but nothing is scheduled: the table is warm.
// Long, because each change of a row has to leave index, lanes, groups, refusals and counters in step: what they do stands
// in files of their own, that they agree is seen to here.

import type { Clock } from '../clock.ts';
import type { InstanceKey, Wish } from '../domain/instance.ts';
import { formsOf, generatedInstanceId, type KeyForm, parseInstanceKey, podNameInstanceId } from '../domain/names.ts';
import type { ObjectKey } from '../domain/pod.ts';
import type { InstanceReport, Refusal } from '../domain/registration-status.ts';
import { inSlices, type Pause, SLICE } from '../slices.ts';
import type { Revision } from '../writer/registry.ts';
import { BlockedWishes, isOlder } from './blocked-wishes.ts';
import { Departed, type Departure } from './departed.ts';
import { begunGrace, graceEndsAtMs, graceOf, inForce, isGraceOver, wantedBy } from './grace.ts';
import { inOrder, type Joined, type JoinedWrite, joinHandOvers, tornHandOvers } from './hand-over.ts';
import { Lanes, mayBePutOff, TICK_MS } from './lanes.ts';
import { Losses } from './losses.ts';
import { Refusals } from './refusals.ts';
import { blockedReport, instanceReport } from './reports.ts';
import {
  dampedAfter,
  heldTerm,
  isLastMoment,
  isOverdue,
  isShown,
  LOOK_AGAIN_MS,
  NEVER,
  nextStep,
  type Observed,
  promotes,
  type Row,
  reportOf,
  SETTLED,
  type Step,
  sameText,
  type Tenure,
} from './row.ts';
import { keyIn, RowIndex } from './row-index.ts';
import { fractionOf, nextRefreshMs } from './spread.ts';
import { groupOf, StickyGroups } from './sticky-groups.ts';
import { Stretch } from './stretch.ts';
import { type Awaits, type Proven, Unseen } from './unseen.ts';
import { NO_TEXT, textOf, type Write, writeOf } from './write.ts';

export type Taken = { readonly writes: readonly Write[]; readonly reads: readonly Row[] };

export type TableListener = {
  /** Something must be written or read as soon as the writer is free. */
  onUrgent(): void;
  /** What people are told about this registration's instances changed. */
  onReport(registration: ObjectKey): void;
  /** All intervals are stretched by another factor than before. */
  onStretch?(factor: number): void;
};

export class InstanceTable {
  readonly #clock: Clock;
  readonly #listener: TableListener;
  readonly #index = new RowIndex();
  readonly #lanes: Lanes;
  readonly #blocked = new BlockedWishes();
  readonly #groups: StickyGroups;
  readonly #unseen = new Unseen();
  readonly #refusals = new Refusals();
  readonly #losses = new Losses();
  readonly #departed = new Departed();
  readonly #stretch: Stretch;
  #leading = false;
  /** Rows whose key is seen to be ours. */
  #ours = 0;

  /** @param maxWritesPerSecond absent: no limit */
  constructor(clock: Clock, listener: TableListener, maxWritesPerSecond?: number) {
    this.#clock = clock;
    this.#listener = listener;
    this.#lanes = new Lanes(clock.monotonicMs(), () => listener.onUrgent());
    // Who does not lead elects nobody.
    this.#groups = new StickyGroups(clock, this.#refusals, () => {
      if (this.#leading) listener.onUrgent();
    });
    this.#stretch = new Stretch(maxWritesPerSecond);
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
      const held = rows.filter((row) => continues(row.wish, wish));
      const instanceId = (held.find(({ farewell }) => !farewell) ?? held.find((row) => this.#isFreeFor(row, wish)))
        ?.instanceId;
      if (instanceId === undefined) {
        fresh.push(wish);
        continue;
      }
      for (const row of held) if (row.instanceId === instanceId) kept.add(row);
      this.#give(instanceId, wish);
    }
    for (const row of rows) {
      if (kept.has(row)) continue;
      const gone = row.wish.pod.uid !== uid;
      const frozen = gone || row.farewell ? undefined : freeze(row.wish);
      if (frozen === undefined) this.#farewell(row, gone);
      else this.#update(row, frozen, row.tenure);
    }
    // After the farewells: a pod replaced under its name takes over the key of the one before.
    for (const wish of fresh) this.#claim(wish);
  }

  /** Under which a pod has rows. */
  registrationsOf(pod: ObjectKey): readonly ObjectKey[] {
    return this.#index.ofPod(pod).map(({ wish }) => wish.registration);
  }

  /** Whether a pod has a row under a registration. */
  holds(pod: ObjectKey, registration: ObjectKey): boolean {
    return this.#index.ofPod(pod).some((row) => !row.farewell && row.wish.registration === registration);
  }

  /** What the annotations of a pod's incarnation said when its wish under a service, or under any, was last made. */
  annotatedBy(pod: ObjectKey, uid: string, serviceName?: string): Wish['annotated'] {
    for (const row of this.#index.ofPod(pod)) {
      const wish = wantedBy(row);
      const asked = serviceName === undefined || wish.serviceName === serviceName;
      if (asked && !row.farewell && wish.pod.uid === uid) return wish.annotated;
    }
    return undefined;
  }

  /** The rows of a pod's incarnation under a service, the one people are shown first. */
  rowsOf(pod: ObjectKey, uid: string, serviceName: string): readonly Row[] {
    const rows = this.#index.ofPod(pod);
    return rows.filter(({ wish, farewell }) => !farewell && wish.pod.uid === uid && wish.serviceName === serviceName);
  }

  /** Instances of a registration, farewells left out, for its status. */
  reports(registration: ObjectKey): readonly InstanceReport[] {
    const nowMs = this.#clock.monotonicMs();
    const reports: InstanceReport[] = [];
    for (const row of this.#index.ofRegistration(registration)) {
      if (!row.farewell && isShown(row)) reports.push(this.#report(row, nowMs));
    }
    for (const { key, wish } of this.#blocked.of(registration)) reports.push(this.#blockedReport(key, wish));
    return reports;
  }

  /** Rows of a pod's incarnation under all its registrations, farewells left out. */
  reportsOfPod(pod: ObjectKey, uid: string): readonly InstanceReport[] {
    const nowMs = this.#clock.monotonicMs();
    const reports: InstanceReport[] = [];
    for (const row of this.#index.ofPod(pod)) {
      if (!row.farewell && isShown(row) && row.wish.pod.uid === uid) reports.push(this.#report(row, nowMs));
    }
    for (const { key, wish } of this.#blocked.ofPod(pod)) {
      if (wish.pod.uid === uid) reports.push(this.#blockedReport(key, wish));
    }
    return reports;
  }

  /** Whether a pod's incarnation would have a key of a registration now, were that key not an older pod's. */
  isBlocked(pod: ObjectKey, uid: string, registration: ObjectKey): boolean {
    return [...this.#blocked.ofPod(pod)].some(
      ({ wish }) => wish.pod.uid === uid && wish.registration === registration && wish.state.kind === 'live',
    );
  }

  #report(shown: Row, nowMs: number): InstanceReport {
    const besides = this.#index.besides(shown).filter(({ tenure, farewell }) => tenure === 'current' && !farewell);
    return instanceReport(shown, besides, nowMs, {
      refusalOf: (row) => this.#refusals.of(row),
      lossesOf: (row) => this.#losses.times(row),
    });
  }

  #blockedReport(dotted: InstanceKey, wish: Wish): InstanceReport {
    const { serviceName, instanceId } = parseInstanceKey(dotted) ?? { serviceName: '', instanceId: '' };
    return blockedReport(serviceName, instanceId, wish, this.#index.instance(serviceName, instanceId)[0]?.wish.pod);
  }

  // ---- observed half: the writer's ----

  /**
   * A term begins: what the stream holds under each key, as read back under the lock. Keys that must be written come in
   * the order of `oldestFirst`. In slices; rows that come while it pauses are asked about like all others.
   */
  async lead(observed: (row: Row) => Observed, pause: Pause, oldestFirst: Iterable<InstanceKey> = []): Promise<void> {
    this.#adjustStretch();
    // Not `inSlices`: between the last row and the beginning nothing may come.
    let asked = 0;
    for (const row of this.#index.all()) {
      this.#see(row, observed(row));
      if (row.observed.kind !== 'ours') row.dampedUntilMs = NEVER;
      const stands = row.observed.kind === 'ours' && row.observed.status !== 'UNHEALTHY';
      const isMissing = row.observed.kind === 'none' && isOverdue(row, this.#clock.monotonicMs());
      if (stands || isMissing) row.wishedAtMs = SETTLED;
      row.inFlight = false;
      row.refreshDueMs = 0;
      asked += 1;
      if (asked % SLICE === 0) await pause();
    }
    this.#leading = true;
    await inSlices(oldestFirst, pause, (key) => {
      const row = this.#index.get(key);
      if (row !== undefined) this.#schedule(row);
    });
    await inSlices(this.#index.all(), pause, (row) => {
      this.#schedule(row);
      this.#noteReport(row);
    });
  }

  /** Stops scheduling, at once; what was observed stays for status until the next term. What has to go goes in slices. */
  async stopLeading(pause: Pause): Promise<void> {
    this.#leading = false;
    this.#refusals.clear();
    await inSlices(this.#index.all(), pause, (row) => {
      this.#lanes.remove(row);
      row.inFlight = false;
      if (row.farewell || row.tenure !== 'current' || this.#unseen.has(row)) this.#remove(row);
    });
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
   * What is due: at most `limit` writes, urgent first and oldest first, and as many reads. Each is to be settled. Where
   * instances have keys of several forms there may be half as many writes more, so that none is torn apart.
   * `mayKeep` false: the key of this Ready pod is not written now, whether it stands or not.
   */
  take(limit: number, mayKeep: (row: Row) => boolean): Taken {
    const nowMs = this.#clock.monotonicMs();
    this.#adjustStretch();
    this.#elect(nowMs);
    this.#lanes.advance(nowMs, (row) => this.#schedule(row, nowMs));
    const reads = this.#lanes.takeReads(limit);
    for (const row of reads) row.inFlight = true;
    const most = this.#roomFor(limit);
    const share = this.#stretch.isLimited ? STARVING_SHARE_OF_BUDGET : STARVING_SHARE;
    const due = this.#lanes.takeWrites(most, share, nowMs, mayKeep, (row) => this.#schedule(row, nowMs));
    return {
      writes: this.#takeOff(
        joinHandOvers(due, most, nowMs, this.#groups, { mayKeep, refusals: this.#refusals }),
        nowMs,
        mayKeep,
      ),
      reads,
    };
  }

  /** How many rows wait to be written now; of those whose time has come since `take` last looked nothing is said. */
  get waiting(): { readonly urgent: number; readonly refresh: number } {
    return this.#lanes.waiting;
  }

  /** By what factor the write budget stretches all intervals; 1: not at all. */
  get stretch(): number {
    return this.#stretch.factor;
  }

  /** At most `limit` urgent writes and nothing else, for a last batch. */
  takeUrgent(limit: number): readonly Write[] {
    const nowMs = this.#clock.monotonicMs();
    this.#elect(nowMs);
    const most = this.#roomFor(limit);
    const due = this.#lanes.takeUrgent(most, nowMs, (row) => this.#schedule(row, nowMs));
    const all = () => true;
    return this.#takeOff(
      joinHandOvers(due, most, nowMs, this.#groups, { mayKeep: all, refusals: this.#refusals }),
      nowMs,
      all,
    );
  }

  /** Without the hand-overs that are no longer whole, which are decided anew. */
  withoutTorn(writes: readonly Write[]): readonly Write[] {
    const torn = tornHandOvers(writes, this.#clock.monotonicMs(), this.#groups, this.#refusals);
    if (torn.length === 0) return writes;
    this.release(torn);
    return writes.filter((write) => !torn.includes(write));
  }

  /** Nothing is due and nothing under way; asks every row. */
  get idle(): boolean {
    if (!this.#lanes.idle) return false;
    for (const row of this.#index.all()) if (row.inFlight) return false;
    return true;
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
    const released = this.#refusals.release(row, nowMs);
    const nextMs = nextRefreshMs(nowMs, this.#stretch.pace(row.wish).intervalMs, TICK_MS, row.fraction);
    row.refreshDueMs = isLastMoment(row, nowMs) ? Math.min(nextMs, nowMs + LOOK_AGAIN_MS) : nextMs;
    if (write.wish.state.kind === row.wish.state.kind) row.wishedAtMs = SETTLED;
    if (write.reason !== 'Refresh') row.dampedUntilMs = dampedAfter(row, nowMs);
    this.#settle(
      row,
      write.operation === 'PURGE'
        ? { kind: 'none', revision }
        : {
            kind: 'ours',
            revision,
            status: write.status,
            active: write.active,
            podUid: write.wish.pod.uid,
            text: write.text,
            ttlMs: write.ttlMs,
            ...(write.ttlMs === write.wish.ttlMs ? {} : { agreedTtlMs: write.wish.ttlMs }),
            writtenAtMs: nowMs,
            heartbeatMs,
          },
      nowMs,
    );
    for (const other of released) this.#schedule(other, nowMs);
  }

  /** The stream was read, or refused a write and said why: this is what it holds. */
  observe(row: Row, observed: Observed): void {
    if (observed.kind !== 'ours') row.dampedUntilMs = NEVER;
    this.#settle(row, observed, this.#clock.monotonicMs());
  }

  #settle(row: Row, observed: Observed, nowMs: number): void {
    const before = row.observed;
    const stood = stands(row);
    const wasRefused = this.#refusals.end(row);
    this.#see(row, observed);
    if (observed.kind === 'foreign') this.#noteLoss(row, before, observed.revision, nowMs);
    else if (observed.kind === 'ours' && before.kind !== 'ours') this.#losses.regained(row, nowMs);
    if (wasRefused) this.#listener.onReport(row.wish.registration);
    row.inFlight = false;
    // It was kept up because it stood. That its pod lives nobody knows, so nothing is made for it.
    if (observed.kind === 'none' && this.#unseen.has(row) && !isOverwritten(before, observed, nowMs))
      return this.#forget(row);
    // When to look again: at somebody else's key, and at one of ours that should have lapsed.
    if (observed.kind === 'foreign' || (observed.kind === 'ours' && row.wish.state.kind === 'away')) {
      row.refreshDueMs = nowMs + row.wish.intervalMs;
    }
    this.#schedule(row, nowMs);
    this.#noteReport(row, nowMs);
    // Also of a key that said UNHEALTHY until now.
    if (!stood && stands(row)) this.#letRetire(row);
  }

  /** Nothing of this was written: each row is decided anew, in front of those that wait already. */
  release(writes: readonly Write[]): void {
    for (const { row } of writes.toReversed()) {
      row.inFlight = false;
      this.#schedule(row);
      this.#lanes.toFront(row);
    }
  }

  /** The server will not have this one: `refusals.ts` says when it is tried again. Returns whether that is news. */
  putOff(write: Write, refusal: Refusal): boolean {
    const { row } = write;
    row.inFlight = false;
    if (!this.#index.has(row)) return false;
    const nowMs = this.#clock.monotonicMs();
    const isNews = this.#refusals.add(write, refusal, nowMs);
    // What was refused is not what is wanted by now.
    if (!sameText(write.text, row.text)) this.#refusals.lift(row);
    this.#groups.note(row);
    this.#schedule(row, nowMs);
    if (isNews) this.#listener.onReport(row.wish.registration);
    return isNews;
  }

  /** The rows could not be read: they stay to be read. */
  releaseReads(rows: readonly Row[]): void {
    for (const row of rows) {
      row.inFlight = false;
      this.#schedule(row);
    }
  }

  /** A key of ours in the stream that nobody here wishes for: it gets its farewell. */
  adoptOrphan(wish: Wish, instanceId: string, form: KeyForm, observed: Observed): void {
    const row = this.#create(wish, instanceId, form, observed);
    row.farewell = true;
    this.#schedule(row);
  }

  /**
   * A key of ours whose pod the view does not show, though it may live: kept up until its pod is decided about, which
   * `unseenPods` asks for once what it awaits has come.
   */
  adoptUnseen(wish: Wish, instanceId: string, form: KeyForm, observed: Observed, awaits: Awaits = 'proof'): void {
    const standing = observed.kind === 'ours' && observed.status !== 'UNHEALTHY';
    const state: Wish['state'] = standing ? { kind: 'live' } : { kind: 'away', reason: 'Terminating' };
    const row = this.#create({ ...wish, state }, instanceId, form, observed);
    this.#unseen.add(row, awaits, this.#clock.monotonicMs());
  }

  /** This replica had the pod of such a wish, and decided against it: what it decided. Undefined: it did not. */
  departedAs(wish: Wish): Departure | undefined {
    return this.#departed.of(wish);
  }

  /** The pods of such keys that are to be decided about by now. */
  unseenPods(proven: Proven): readonly ObjectKey[] {
    return this.#unseen.duePods(this.#clock.monotonicMs(), proven);
  }

  /** Keys of pods that the view does not show, and that are not to be decided about yet. */
  get held(): number {
    return this.#unseen.held(this.#clock.monotonicMs());
  }

  /** Of such keys these are decided about now. `sinceMs`: monotonic, when the hold began. */
  letGo(released: (wish: Wish, sinceMs: number) => boolean): void {
    this.#unseen.letGo(released);
  }

  /** A key of ours in the stream for a pod whose keys look otherwise by now: kept up until those stand. */
  adoptRetiring(wish: Wish, instanceId: string, form: KeyForm, observed: Observed): void {
    const row = this.#create(wish, instanceId, form, observed);
    if (observed.kind === 'ours') row.refreshDueMs = observed.writtenAtMs + wish.intervalMs;
    this.#letRetire(this.#update(row, wish, 'retiring'));
  }

  /** The grace is over, or the row's key stands for another pod: what the reconcilers said last comes into force. */
  endGrace(row: Row): void {
    if (row.grace === undefined) return;
    const { wish } = row.grace;
    row.grace = undefined;
    this.#enforce(row, wish, row.tenure);
  }

  /** The pod's key stands in the stream under another id: its rows take that, and whoever had it here another one. */
  assign(row: Row, instanceId: string): void {
    const wish = wantedBy(row);
    const displaced = this.#index.instance(wish.serviceName, instanceId);
    for (const own of this.#index.instance(wish.serviceName, row.instanceId)) this.#remove(own);
    for (const other of displaced) this.#drop(other);
    this.#give(instanceId, wish);
    const loser = displaced.find(({ farewell }) => !farewell);
    if (loser !== undefined) this.#claim(wantedBy(loser), false);
  }

  // ---- inside ----

  #noteLoss(row: Row, before: Observed, revision: Revision, nowMs: number): void {
    if (before.kind === 'ours') row.yieldUntilMs = nowMs + this.#losses.lost(row, nowMs);
    // It was written once more while we meant to adopt it.
    const isContested = before.kind === 'foreign' && before.revision !== revision && row.inFlight;
    if (isContested && row.wish.adopt) row.yieldUntilMs = nowMs + row.wish.intervalMs;
  }

  #see(row: Row, observed: Observed): void {
    const isOurs = observed.kind === 'ours';
    // A write may be acknowledged after its row has left.
    if (isOurs !== (row.observed.kind === 'ours') && this.#index.has(row)) this.#ours += isOurs ? 1 : -1;
    const termBefore = heldTerm(row);
    row.observed = this.#withAgreed(row, observed);
    if (observed.kind === 'ours') row.heartbeatMs = Math.max(row.heartbeatMs, observed.heartbeatMs);
    if (heldTerm(row) !== termBefore) row.text = textOf(row);
    if (this.#index.has(row)) this.#groups.note(row);
  }

  /** Of a key that was read back nothing says what its TTL was stretched from: as long as it is the one in force, from that. */
  #withAgreed({ wish }: Row, observed: Observed): Observed {
    if (observed.kind !== 'ours' || observed.agreedTtlMs !== undefined || observed.ttlMs === wish.ttlMs)
      return observed;
    const isInForce = observed.ttlMs === this.#stretch.pace(wish).ttlMs;
    return isInForce ? { ...observed, agreedTtlMs: wish.ttlMs } : observed;
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
    for (const id of ids) {
      const rows = this.#index.instance(wish.serviceName, id);
      const held = rows.find(({ farewell }) => !farewell);
      const holder = held === undefined ? undefined : wantedBy(held);
      if (holder !== undefined && !(contest && olderTakes(rows, holder, wish))) continue;
      this.#give(id, wish);
      this.#listener.onReport(wish.registration);
      if (holder !== undefined) this.#claim(holder);
      return;
    }
    const last = ids.at(-1);
    if (last === undefined) return;
    this.#blocked.add(keyIn('Dotted', wish.serviceName, last), wish);
    this.#listener.onReport(wish.registration);
  }

  /** The id is this wish's: what its layout asks for and nothing else, whoever had it. */
  #give(instanceId: string, wish: Wish, observedOf: (form: KeyForm) => Observed = () => NOTHING): void {
    const rows = this.#index.instance(wish.serviceName, instanceId);
    const forms = formsOf(wish.keyLayout);
    // First: an instance without rows would be given to whoever waits for its id.
    for (const form of forms) {
      const row = rows.find((candidate) => candidate.form === form);
      if (row === undefined) this.#create(wish, instanceId, form, observedOf(form));
      else this.#update(row, wish);
    }
    for (const row of rows) {
      if (forms.includes(row.form)) continue;
      if (continues(row.wish, wish))
        this.#letRetire(this.#update(row, wish, row.tenure === 'current' ? 'retiring' : row.tenure));
      else this.#farewell(row, false);
    }
  }

  /** Since the row said farewell its id may have become another pod's, under a key of another form. */
  #isFreeFor({ wish: { serviceName }, instanceId }: Row, wish: Wish): boolean {
    return this.#index.instance(serviceName, instanceId).every((row) => row.farewell || continues(row.wish, wish));
  }

  #create(wish: Wish, instanceId: string, form: KeyForm, observed: Observed): Row {
    // A leader knows what stands under the key; whoever leads next will.
    const grace = this.#leading ? undefined : begunGrace(wish, this.#clock);
    const row: Row = {
      key: keyIn(form, wish.serviceName, instanceId),
      form,
      instanceId,
      // The same for all keys of an instance, so that they are due together.
      fraction: fractionOf(keyIn('Dotted', wish.serviceName, instanceId)),
      wish: inForce(wish, grace),
      grace,
      farewell: false,
      tenure: 'current',
      group: groupOf(wish),
      role: groupOf(wish) === undefined ? 'ACTIVE' : 'STANDBY',
      text: NO_TEXT,
      observed,
      heartbeatMs: observed.kind === 'ours' ? observed.heartbeatMs : 0,
      wishedAtMs: this.#clock.monotonicMs(),
      dampedUntilMs: NEVER,
      refreshDueMs: 0,
      yieldUntilMs: 0,
      inFlight: false,
      report: { status: 'Pending', reason: 'Registering', sinceMs: this.#clock.wallMs() },
      list: undefined,
      previous: undefined,
      next: undefined,
      dueMs: 0,
    };
    row.text = textOf(row);
    this.#index.add(row);
    this.#groups.note(row);
    this.#stretch.note(row);
    if (observed.kind === 'ours') this.#ours += 1;
    this.#schedule(row);
    this.#noteReport(row);
    this.#listener.onReport(wish.registration);
    return row;
  }

  /** The wish may be another pod's (one replaced under its name): what was observed and is in flight stays. */
  #update(row: Row, wish: Wish, tenure: Tenure = 'current'): Row {
    const seen = graceOf(row, wish, this.#clock.monotonicMs());
    row.grace = seen !== undefined && this.#unseen.has(row) ? begunGrace(wish, this.#clock) : seen;
    return this.#enforce(row, inForce(wish, row.grace), tenure);
  }

  #enforce(row: Row, wish: Wish, tenure: Tenure): Row {
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
      const { intervalMs } = this.#stretch.pace(wish);
      row.refreshDueMs = Math.min(row.refreshDueMs, nextRefreshMs(nowMs, intervalMs, TICK_MS, row.fraction));
    }
    row.wish = wish;
    row.farewell = false;
    row.tenure = tenure;
    this.#unseen.delete(row);
    const group = groupOf(wish);
    if (row.group !== group) {
      row.group = group;
      row.role = group === undefined ? 'ACTIVE' : 'STANDBY';
    }
    this.#stretch.note(row);
    const text = textOf(row);
    if (!sameText(text, row.text)) {
      row.text = text;
      if (this.#refusals.lift(row)) this.#listener.onReport(wish.registration);
    }
    this.#groups.note(row);
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
    this.#departed.note(wish, gone, this.#clock.monotonicMs());
    row.farewell = true;
    row.grace = undefined;
    if (row.wish.state.kind === 'live') row.wishedAtMs = this.#clock.monotonicMs();
    row.wish = wish;
    row.text = textOf(row);
    this.#refusals.retry(row);
    this.#groups.note(row);
    this.#stretch.note(row);
    this.#listener.onReport(wish.registration);
    this.#schedule(row);
  }

  /** What retires of the row's instance is retired as soon as everything else of it stands. */
  #letRetire({ wish, instanceId }: Row): void {
    const rows = this.#index.instance(wish.serviceName, instanceId);
    if (!rows.every((row) => row.tenure !== 'current' || row.farewell || stands(row))) return;
    for (const row of rows) {
      if (row.tenure !== 'retiring') continue;
      row.tenure = 'retired';
      this.#stretch.note(row);
      this.#schedule(row);
    }
  }

  /** Puts the row where its next step says, or lets it go when it has none and nobody wishes for it. */
  #schedule(row: Row, nowMs = this.#clock.monotonicMs()): void {
    if (row.inFlight || !this.#index.has(row)) return;
    if (!this.#leading) {
      if (row.farewell || row.tenure !== 'current') this.#remove(row);
      return;
    }
    if (row.grace !== undefined && isGraceOver(row, row.grace, nowMs)) {
      this.endGrace(row);
      return;
    }
    // The time in which the key is left to somebody else, or is given no role, may be over.
    if (row.yieldUntilMs > 0 || this.#refusals.concerns(row)) this.#groups.note(row);
    const step = this.#stepOf(row, nowMs);
    const isLast = row.farewell || row.tenure !== 'current';
    // A key that says ACTIVE for a sticky group stands in its successor's way until it is gone.
    const inTheWay = row.observed.kind === 'ours' && row.observed.active !== undefined;
    // One that may not be written yet has its farewell still to say.
    const isOwed = this.#refusals.has(row);
    const waitsForNothing = (row.farewell || row.wish.state.kind === 'away') && !inTheWay && !isOwed;
    if (isLast && (step.kind === 'rest' || (step.kind === 'wait' && waitsForNothing))) {
      this.#remove(row);
      return;
    }
    if (step.kind !== 'wait' || row.grace === undefined) this.#lanes.place(row, step);
    else this.#lanes.place(row, { ...step, untilMs: Math.min(step.untilMs, graceEndsAtMs(row.grace)) });
  }

  /** A key that the server will not have waits for its turn; once it has lapsed there is no farewell left to say. */
  #stepOf(row: Row, nowMs: number): Step {
    const step = nextStep(row, nowMs);
    if (!this.#refusals.has(row) || (step.kind !== 'write' && step.kind !== 'purge')) return step;
    if (row.wish.state.kind === 'away' && this.#refusals.hasLapsed(row, nowMs)) return { kind: 'read' };
    const untilMs = this.#refusals.waitUntilMs(row, nowMs);
    return untilMs === undefined ? step : { kind: 'wait', untilMs };
  }

  #adjustStretch(): void {
    if (this.#stretch.adjust()) this.#listener.onStretch?.(this.#stretch.factor);
  }

  /** Whose role changed by what happened since is written as such. */
  #elect(nowMs: number): void {
    if (!this.#leading) return;
    for (const row of this.#groups.elect()) {
      row.text = textOf(row);
      if (row.role === 'STANDBY') this.#refusals.retry(row);
      this.#schedule(row, nowMs);
    }
  }

  /** How many due rows make a batch of about `limit`: each may bring the keys of its instance in two other forms along. */
  #roomFor(limit: number): number {
    return this.#index.isDotted ? limit : Math.ceil(limit / 2);
  }

  /** The writes are under way from now on, with what their rows want at this moment. */
  #takeOff({ writes, putBack, putOff }: Joined, nowMs: number, mayKeep: (row: Row) => boolean): readonly Write[] {
    for (const row of putBack.toReversed()) {
      this.#schedule(row, nowMs);
      this.#lanes.toFront(row);
    }
    for (const row of putOff) this.#lanes.putOff(row, nowMs + HINDERED_MS);
    for (const { row } of writes) this.#lanes.remove(row);
    const complete = inOrder(this.#withBesides(writes, nowMs, mayKeep));
    for (const { row } of complete) row.inFlight = true;
    return complete.map((write) => writeOf(write, this.#stretch.pace(write.row.wish).ttlMs));
  }

  #noteReport(row: Row, nowMs = this.#clock.monotonicMs()): void {
    const { status, reason } = reportOf(row, nowMs);
    if (row.report.status === status && row.report.reason === reason) return;
    row.report = { status, reason, sinceMs: this.#clock.wallMs() };
    this.#listener.onReport(row.wish.registration);
  }

  /** Each write with those of the other keys of its instance: of all that stand, none is older than another. */
  #withBesides(due: readonly JoinedWrite[], nowMs: number, mayKeep: (row: Row) => boolean): readonly JoinedWrite[] {
    if (this.#index.isDotted) return due;
    const waiting = new Map(due.map((write) => [write.row, write]));
    const writes: JoinedWrite[] = [];
    for (const write of due) {
      if (!waiting.delete(write.row)) continue;
      writes.push(write);
      // Tried again by itself: what stands beside it is not to be written for it, nor refused with it.
      if (this.#refusals.has(write.row)) continue;
      for (const row of this.#index.besides(write.row)) {
        const beside = waiting.get(row) ?? this.#besideWrite(row, nowMs, mayKeep);
        waiting.delete(row);
        if (beside !== undefined) writes.push(beside);
      }
    }
    return writes;
  }

  #besideWrite(row: Row, nowMs: number, mayKeep: (row: Row) => boolean): JoinedWrite | undefined {
    if (row.inFlight || this.#refusals.has(row) || (mayBePutOff(row) && !mayKeep(row))) return undefined;
    // Only as a part of its hand-over.
    if (promotes(row)) return undefined;
    const next = nextStep(row, nowMs);
    const isRefreshed = row.wish.state.kind === 'live' && row.observed.kind === 'ours' && row.tenure === 'current';
    const step = next.kind === 'wait' && isRefreshed ? REFRESH : next;
    if (step.kind !== 'write' && step.kind !== 'purge') return undefined;
    this.#lanes.remove(row);
    return { row, step, handOver: undefined };
  }

  /** The row goes, and people are told no more of it. */
  #forget(row: Row): void {
    this.#remove(row);
    this.#listener.onReport(row.wish.registration);
  }

  /** The row goes; with the last one of an instance its id is free for whoever waited for it. */
  #remove(row: Row): void {
    this.#drop(row);
    const { serviceName } = row.wish;
    if (this.#index.instance(serviceName, row.instanceId).length > 0) return;
    const heir = this.#blocked.takeHeir(keyIn('Dotted', serviceName, row.instanceId));
    if (heir !== undefined) {
      this.#give(row.instanceId, heir, (form) => (form === row.form ? row.observed : { kind: 'unknown' }));
    }
  }

  #drop(row: Row): void {
    this.#lanes.remove(row);
    this.#unseen.delete(row);
    this.#refusals.forget(row);
    this.#losses.forget(row);
    this.#groups.note(row, false);
    this.#stretch.note(row, false);
    if (!this.#index.has(row)) return;
    if (row.observed.kind === 'ours') this.#ours -= 1;
    this.#index.remove(row);
  }
}

/** What refreshes that starve get of a batch, whatever is urgent. */
const STARVING_SHARE = 0.5;
/** Within a budget that is more than all refreshes together need, so that none lapses for want of writes. */
const STARVING_SHARE_OF_BUDGET = 0.875;
/** A hand-over that what stands in its way keeps from being written is thought of again so soon. */
const HINDERED_MS = 1_000;
const NOTHING: Observed = { kind: 'none', revision: 0 };
const REFRESH: Step = { kind: 'write', reason: 'Refresh', lane: 'refresh' };

/** The same pod incarnation under the same service with the same kind of id keeps its row. */
const continues = (held: Wish, wish: Wish): boolean =>
  held.pod.uid === wish.pod.uid && held.serviceName === wish.serviceName && held.instanceIdMode === wish.instanceIdMode;

/** Nothing of it is told otherwise in the registration's status. */
const readsTheSame = (a: Wish, b: Wish): boolean =>
  a.versionNote === b.versionNote &&
  a.content.version === b.content.version &&
  a.content.stickyActiveGroup === b.content.stickyActiveGroup &&
  a.ttlMs === b.ttlMs &&
  a.intervalMs === b.intervalMs &&
  a.keyLayout === b.keyLayout &&
  a.whenNotReady === b.whenNotReady;

/** The server put its marker over what it had acknowledged a moment ago: see `LOOK_AGAIN_MS`. */
const isOverwritten = (before: Observed, now: Observed, nowMs: number): boolean =>
  now.kind === 'none' && now.isLapse === true && before.kind === 'ours' && nowMs < before.writtenAtMs + before.ttlMs;

/** Two pods with one id: the older has it. A generated id is not taken back from a key that already stands. */
const olderTakes = (rows: readonly Row[], holder: Wish, wish: Wish): boolean => {
  if (wish.instanceIdMode === 'Generated' && rows.some(({ observed }) => observed.kind === 'ours')) return false;
  return isOlder(wish, holder);
};

/** The key is as its wish will have it. */
const stands = ({ observed, wish }: Row): boolean =>
  observed.kind === 'ours' && (wish.state.kind === 'away' || observed.status !== 'UNHEALTHY');
