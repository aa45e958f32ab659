// Judges a world by the invariants of the registry, from the raw log of the stream and the truth about the pods. It
// knows nothing of how the operator works, and looks at every message exactly once.

import { formsOf, type KeyForm, type ParsedKey, parseInstanceKey } from '../../../src/domain/names.ts';
import { refusalsOf } from '../../support/strict-readers.ts';

import { judgeConverged } from './converged-judge.ts';
import { GateJudge } from './gate-judge.ts';
import { LeadJudge, LOCK } from './lead-judge.ts';
import { isUp, type Live, type Stored, type Value } from './live.ts';
import { PresenceJudge } from './presence-judge.ts';
import { QuietJudge } from './quiet-judge.ts';
import { StickyJudge } from './sticky-judge.ts';
import { BUCKET, OPERATOR_ID, type Truth, type World } from './world.ts';

const PREFIX = `$KV.${BUCKET}.`;
/** What replicas say of themselves: outside batches and terms. */
const ANNOUNCEMENTS = `$ROLLCALL.${BUCKET}.${OPERATOR_ID}.replica.`;
/** I2: 2 s; 2 s more where a pod goes on flapping, whose key changes once in so long; and looks. */
const FAREWELL_MS = 4_500;
/** I1: a pod counts as Ready once it has been so for this long. */
const READY_FOR_MS = 5_000;

/** I1: without the registry for longer than this in all, a key may lapse. */
const OUTAGE_MS = 12_000;
/** Expiry comes up to this long after the TTL. */
const EXPIRY_MS = 500;
/** TTLs that a hand-over after a crash may outlast. */
const SHORT_TTL_MS = 15_000;

export class Judge {
  readonly #world: World;
  readonly #sticky: StickyJudge;
  readonly #live = new Map<string, Live>();
  /** Where each pod was said to be up last. */
  readonly #newest = new Map<string, string>();
  readonly #heartbeats = new Map<string, { readonly ms: number; gone: boolean }>();
  /** Subjects that hold somebody else's value, since when. */
  readonly #foreign = new Map<string, number>();
  readonly #gates: GateJudge;
  readonly #presence: PresenceJudge;
  readonly #quiet = new QuietJudge();
  readonly #leads: LeadJudge;
  #read = 0;
  #revision = 0;
  /** Subjects of ours that somebody wrote, and whether any of them more than once. */
  readonly #taken = new Set<string>();
  /** Every value of ours that was ever stored, by subject. */
  readonly #said = new Map<string, Set<string>>();
  #takenTwice = false;
  /** When somebody else's value last went. */
  #freedAtMs = Number.NEGATIVE_INFINITY;
  #term = -1;
  /** The last moment at which a fault may have kept the operator from seeing or saying something. */
  disturbedUntilMs = 0;
  /** The last moment at which the brake may have kept a silent node from being judged. */
  heldUntilMs = 0;
  /** Lists lack everything: nothing may go. */
  braked = false;
  brakedUntilMs = Number.NEGATIVE_INFINITY;
  /** When somebody last removed a key, or took one, for which nothing rings. */
  #disruptedAtMs = Number.NEGATIVE_INFINITY;
  /** When some replica, or all, could not reach the registry. */
  readonly outages: { readonly fromMs: number; untilMs: number }[] = [];
  /** When faults kept some replica from seeing the cluster. */
  readonly blind: { readonly fromMs: number; untilMs: number; readonly broken?: true }[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#gates = new GateJudge(world);
    this.#sticky = new StickyJudge(world);
    this.#presence = new PresenceJudge(world);
    this.#leads = new LeadJudge(world);
  }

  /** The server's clock jumped: forward, what was not refreshed for so long lapses at once. */
  jumped(ms: number): void {
    for (const live of this.#live.values()) live.soonerMs += ms;
    this.#leads.locksLapseFromMs = this.#world.clock.monotonicMs() + Math.max(0, -ms);
    this.#disruptedAtMs = this.#world.clock.monotonicMs();
  }

  /** The server lost what it had acknowledged: revisions and terms begin anew from an earlier one. */
  forgot(): void {
    // What is lost and what is there again stands in the log.
    this.check();
    this.#term = -1;
    this.#revision = 0;
    this.#said.clear();
    this.#sticky.forgot();
    this.#disruptedAtMs = this.#world.clock.monotonicMs();
  }

  /** Throws at the first invariant that does not hold. */
  check(): void {
    const history = this.#world.stream.history();
    for (; this.#read < history.length; this.#read += 1) {
      const entry = history[this.#read];
      if (entry === undefined) break;
      if (entry.kind === 'stored') this.#stored(entry.message, entry.by, entry.atMs);
      else this.#gone(entry.subject, entry.kind, entry.atMs);
    }
    // While somebody else holds a key of ours, its pod may be the only one that could be ACTIVE; that the key is free
    // is noticed when it is looked at again, an interval later at most, or much later where it was taken twice.
    const intervalMs = (this.#world.spec?.refreshIntervalSeconds ?? 0) * 1_000;
    const freeMs = this.#freedAtMs + intervalMs;
    if (this.#foreign.size === 0 && !this.#takenTwice)
      this.#sticky.check(Math.max(this.disturbedUntilMs, this.#world.specChangedAtMs, freeMs));
    this.#noGhosts();
    this.#oneKeyPerPod();
    this.#everyReadyPodHasAKey();
    this.#leads.check(this);
    this.#gates.check(this.outages);
    const [error] = this.#world.errors;
    if (error !== undefined) throw new Error(`an error was logged: ${error}`);
  }

  /** What somebody took, and what is left to lapse, has its time; so has a view after trouble. */
  get mayStillConverge(): boolean {
    const nowMs = this.#world.clock.monotonicMs();
    const lapsing = this.#world.isLapsing || this.#world.lapsingUntilMs > nowMs - 65_000;
    const intervalMs = (this.#world.spec?.refreshIntervalSeconds ?? 0) * 1_000;
    const troubledAtMs = Math.max(this.disturbedUntilMs, this.#freedAtMs + intervalMs);
    return this.#foreign.size > 0 || this.#takenTwice || lapsing || troubledAtMs > nowMs - 15_000;
  }

  /** I9, I4, I8: what the registry and the statuses must say once nothing happens any more. */
  checkConverged(): void {
    this.check();
    judgeConverged(this.#world, this.#live, this.#newest, this.#forms);
    this.#gates.checkConverged();
  }

  /** I9, I12: from here on nothing but refreshes may be written, and no more than there must be. */
  expectQuiet(): void {
    this.#quiet.begin(this.#world);
  }

  checkQuiet(): void {
    this.#quiet.end(this.#world);
  }

  #stored(message: Stored, by: string, atMs: number): void {
    // A stream that was made anew counts from the beginning.
    if (message.revision < this.#revision) {
      this.#term = -1;
      this.#sticky.remade();
    }
    this.#revision = message.revision;
    if (by === 'restored') return this.#restored(message, atMs);
    if (by === 'foreign') {
      // What can never be a key of ours concerns nobody.
      if (parseSubject(message.subject) === undefined) return;
      this.#sticky.gone(message.subject, atMs, 'others');
      this.#live.delete(message.subject);
      this.#forgetHeartbeat(message.subject);
      if (message.operation === 'PUT') this.#foreign.set(message.subject, atMs);
      this.#takenTwice ||= this.#taken.has(message.subject);
      this.#taken.add(message.subject);
      this.#disruptedAtMs = atMs;
      return;
    }
    // The marker of a lapse, which was told as such.
    if (by === 'server') return;
    // I7
    const foreignSinceMs = this.#foreign.get(message.subject);
    this.#foreign.delete(message.subject);
    if (foreignSinceMs !== undefined && !this.#mayAdopt(atMs))
      throw new Error(`I7: ${message.subject} was somebody else's and was written`);
    // I11
    if (message.ttlSeconds === undefined) throw new Error(`I11: ${message.subject} was stored without a TTL`);
    if (message.subject.startsWith(ANNOUNCEMENTS)) return;
    // I6, and the half of I14 about terms
    const term = Number(message.headers['Rollcall-Term']);
    if (!(term >= this.#term)) throw new Error(`I6: a message of term ${term} after the lock of term ${this.#term}`);
    if (message.subject === LOCK) {
      this.#term = term;
      this.#presence.ledBy(by, atMs);
      return;
    }
    if (term !== this.#term) throw new Error(`I6: a message of term ${term} in term ${this.#term}`);
    const key = parseSubject(message.subject);
    if (key === undefined) throw new Error(`I7: ${message.subject} is not ours to write`);
    if (message.operation !== 'PUT') {
      this.#sticky.gone(message.subject, atMs, 'us');
      this.#live.delete(message.subject);
      this.#forgetHeartbeat(message.subject);
      return;
    }
    const body = Buffer.from(message.body).toString();
    const value = JSON.parse(body) as Value;
    const [unread] = refusalsOf(value);
    if (unread !== undefined) throw new Error(`${message.subject}: ${unread}: ${body}`);
    // I10
    const said = this.#said.get(message.subject) ?? new Set();
    if (said.has(body)) throw new Error(`I10: ${message.subject} says again what it said before: ${body}`);
    this.#said.set(message.subject, said.add(body));
    // I14
    const heartbeatMs = Date.parse(value.lastHeartbeat);
    const before = this.#heartbeats.get(message.subject);
    if (before !== undefined && !before.gone && heartbeatMs <= before.ms) {
      throw new Error(`I14: lastHeartbeat of ${message.subject} went from ${before.ms} to ${heartbeatMs}`);
    }
    this.#heartbeats.set(message.subject, { ms: heartbeatMs, gone: false });
    const uid = message.headers['Rollcall-Owner']?.split('/')[3] ?? '';
    if (!this.#world.pods.has(uid)) throw new Error(`I3: ${message.subject} is of pod ${uid}, which never existed`);
    const pod = this.#world.pods.get(uid);
    if (pod === undefined) return;
    const { status, stickyActiveGroup } = value;
    this.#sticky.said(
      {
        subject: message.subject,
        form: key.form,
        uid,
        status,
        stickyActiveGroup,
        stickyTerm: value.metadata.stickyTerm,
      },
      atMs,
      atMs - this.disturbedUntilMs > FAREWELL_MS,
    );
    const calm =
      atMs - Math.max(this.#world.wantsSinceMs(pod), this.disturbedUntilMs, this.#heldUntilMs(pod)) >
      FAREWELL_MS + this.#world.graceMs(pod);
    if (isUp(status) && !this.#world.wants(pod) && calm) throw new Error(`I2: dead pod ${pod.name} was refreshed`);
    if (isUp(status)) this.#newest.set(`${key.form} ${uid}`, message.subject);
    if (isUp(status)) this.#gates.registered.add(uid);
    if (status === 'UNHEALTHY') this.#noticed(message.subject, pod, atMs);
    if (status === 'UNHEALTHY') this.#slandered(message.subject, pod, atMs);
    if (this.braked && status === 'UNHEALTHY' && this.#world.wants(pod))
      throw new Error(`I15: ${pod.name} was told UNHEALTHY because a list lacked it`);
    this.#quiet.written(message.subject, this.#live.get(message.subject)?.value, value);
    this.#live.set(message.subject, { key, uid, status, value, atMs, ttlMs: message.ttlSeconds * 1_000, soonerMs: 0 });
  }

  /** What a crash of the server brought back is as it was; nobody wrote it now. */
  #restored(message: Stored, atMs: number): void {
    const key = parseSubject(message.subject);
    const uid = message.headers['Rollcall-Owner']?.split('/')[3];
    if (key === undefined || message.operation !== 'PUT') return;
    if (uid === undefined) return void this.#foreign.set(message.subject, atMs);
    const value = JSON.parse(Buffer.from(message.body).toString()) as Value;
    const { status, stickyActiveGroup, metadata } = value;
    this.#sticky.said(
      { subject: message.subject, form: key.form, uid, status, stickyActiveGroup, stickyTerm: metadata.stickyTerm },
      atMs,
      false,
      true,
    );
    this.#forgetHeartbeat(message.subject);
    if (isUp(status)) this.#newest.set(`${key.form} ${uid}`, message.subject);
    const ttlMs = (message.ttlSeconds ?? 0) * 1_000;
    // It lapses by when it was stored first, so sooner than one that is stored now.
    this.#live.set(message.subject, { key, uid, status, value, atMs, ttlMs, soonerMs: ttlMs });
  }

  /** A flap within the grace is nobody's business, as long as every replica saw it begin. */
  #noticed(subject: string, pod: Truth, atMs: number): void {
    const wasActive = this.#live.get(subject)?.status === 'ACTIVE';
    const { spec, startedAtMs } = this.#world;
    const seen = startedAtMs < pod.changedAtMs - READY_FOR_MS && this.#specSeenAtMs < pod.changedAtMs - FAREWELL_MS;
    const isUnseen = this.blind.some(({ fromMs, untilMs }) => pod.changedAtMs >= fromMs && pod.changedAtMs <= untilMs);
    if (!wasActive || !seen || isUnseen || pod.gone || pod.ready || spec === undefined || spec.suspend) return;
    // Its grace may have begun with its node's silence.
    if (this.#world.kubelets?.isSilent(pod.node) === true || this.#world.wasLost(pod)) return;
    const forMs = atMs - pod.changedAtMs;
    if (forMs < spec.notReadyGraceSeconds * 1_000) throw new Error(`${pod.name} was told UNHEALTHY after ${forMs} ms`);
  }

  /** I4: of a pod that is Ready, on a node that speaks or of many that do not, nobody says anything else. */
  #slandered(subject: string, pod: Truth, atMs: number): void {
    if (!this.#world.wants(pod) || this.#newest.get(`${parseSubject(subject)?.form} ${pod.uid}`) !== subject) return;
    const sinceMs = Math.max(this.#world.wantsSinceMs(pod), this.disturbedUntilMs, this.#specSeenAtMs);
    if (atMs - sinceMs > FAREWELL_MS) throw new Error(`I4: ${pod.name} is Ready and was told UNHEALTHY`);
  }

  /** I2 does not count what the brake holds. */
  #heldUntilMs(pod: Truth): number {
    return this.#world.kubelets?.isSilent(pod.node) === true ? this.heldUntilMs : 0;
  }

  /** I1: the key of a pod that is Ready, and was seen to be, does not lapse. */
  #gone(subject: string, how: 'lapsed' | 'removed', atMs: number): void {
    this.#sticky.gone(subject, atMs, 'others');
    const live = this.#live.get(subject);
    this.#live.delete(subject);
    if (this.#foreign.delete(subject)) this.#freedAtMs = atMs;
    this.#forgetHeartbeat(subject);
    if (how === 'removed') this.#disruptedAtMs = atMs;
    if (live === undefined || how === 'removed') return;
    const pod = this.#world.pods.get(live.uid);
    if (pod === undefined || !this.#world.wants(pod) || atMs - this.#world.wantsSinceMs(pod) < READY_FOR_MS) return;
    if (this.#isExcused(live, atMs)) return;
    // A change of ids or of the layout leaves the old key behind, to lapse.
    if (!this.#forms.includes(live.key.form) || this.#newest.get(`${live.key.form} ${live.uid}`) !== subject) return;
    const sinceMs = this.#world.wantsSinceMs(pod);
    // A pod that became Ready while nobody could see it may have been said UNHEALTHY before, and lapses for it.
    const unseen = this.blind.some(
      ({ fromMs, untilMs }) => sinceMs > fromMs - READY_FOR_MS && sinceMs < untilMs + READY_FOR_MS,
    );
    if (!unseen) throw new Error(`I1: the key of Ready pod ${pod.name} lapsed at ${atMs}`);
  }

  /** What stood in a key that is gone nobody need know. */
  #forgetHeartbeat(subject: string): void {
    const heartbeat = this.#heartbeats.get(subject);
    if (heartbeat !== undefined) heartbeat.gone = true;
  }

  /** Adopting may have been in force when the batch was made. */
  #mayAdopt(atMs: number): boolean {
    return this.#world.spec?.onConflict === 'Adopt' || atMs - this.#world.specChangedAtMs < FAREWELL_MS;
  }

  /** The registry was away for longer than is promised, or the TTL is shorter than a hand-over. */
  #isExcused({ ttlMs, soonerMs }: Live, atMs: number): boolean {
    if (soonerMs > 0) return true;
    if (ttlMs < SHORT_TTL_MS && atMs - this.disturbedUntilMs < FAREWELL_MS) return true;
    const sinceMs = atMs - ttlMs - EXPIRY_MS;
    let awayMs = 0;
    for (const { fromMs, untilMs } of this.outages) {
      awayMs += Math.max(0, Math.min(untilMs, atMs) - Math.max(fromMs, sinceMs));
    }
    return awayMs > OUTAGE_MS;
  }

  #noGhosts(): void {
    const nowMs = this.#world.clock.monotonicMs();
    for (const [subject, { uid, status, atMs, ttlMs, soonerMs }] of this.#live) {
      const pod = this.#world.pods.get(uid);
      if (!isUp(status) || pod === undefined || this.#world.wants(pod)) continue;
      const lapsesAtMs = atMs + ttlMs + EXPIRY_MS + Math.max(0, -soonerMs);
      // Left to lapse when its pod went, whatever is said by now.
      const isLapsing = this.#world.isLapsing || this.#world.lapsingUntilMs > atMs - FAREWELL_MS;
      if (isLapsing && nowMs < lapsesAtMs) continue;
      const sinceMs = Math.max(this.#world.wantsSinceMs(pod), this.disturbedUntilMs, this.#heldUntilMs(pod));
      if (nowMs - sinceMs > FAREWELL_MS + this.#world.graceMs(pod))
        throw new Error(`I2: ${subject} is ACTIVE ${nowMs - sinceMs} ms after ${pod.name} went`);
    }
  }

  /** What the keys of an instance look like by now. */
  get #forms(): readonly KeyForm[] {
    return formsOf(this.#world.spec?.keyLayout ?? 'Dotted');
  }

  /** When every replica has seen the last change of the spec. */
  get #specSeenAtMs(): number {
    const changedAtMs = this.#world.specChangedAtMs;
    let seenAtMs = changedAtMs;
    for (const { fromMs, untilMs } of this.blind)
      if (changedAtMs > fromMs - READY_FOR_MS && changedAtMs < untilMs) seenAtMs = Math.max(seenAtMs, untilMs);
    return seenAtMs;
  }

  /** I1, I8: also where nothing lapses because nothing was ever written. */
  #everyReadyPodHasAKey(): void {
    const intervalMs = (this.#world.spec?.refreshIntervalSeconds ?? 0) * 1_000;
    const nowMs = this.#world.clock.monotonicMs();
    const isBlind = this.blind.some(({ fromMs, untilMs }) => nowMs > fromMs && nowMs < untilMs);
    // Nothing rings for a key that somebody else takes, removes or lets go, and what was taken twice is not fought for.
    const excusedUntilMs = Math.max(
      this.disturbedUntilMs,
      this.#disruptedAtMs + intervalMs,
      this.#freedAtMs + intervalMs,
      this.#foreign.size > 0 || this.#takenTwice ? nowMs : 0,
    );
    const up = new Set<string>();
    for (const { key, uid, status } of this.#live.values()) if (isUp(status)) up.add(`${key.form} ${uid}`);
    const forms = this.#forms;
    this.#presence.check((uid) => forms.every((form) => up.has(`${form} ${uid}`)), excusedUntilMs, isBlind);
  }

  #oneKeyPerPod(): void {
    const owners = new Set<string>();
    const seenAtMs = this.#specSeenAtMs + FAREWELL_MS;
    const forms = this.#forms;
    for (const [subject, { key, uid, status, atMs }] of this.#live) {
      if (!isUp(status)) continue;
      // A change of ids or of the layout leaves the old key behind, to lapse.
      if (atMs < seenAtMs) continue;
      const owner = `${key.form} ${uid}`;
      if (owners.has(owner)) throw new Error(`I3: pod ${uid} has a second live key ${subject}`);
      owners.add(owner);
      const kept = !forms.includes(key.form) && atMs > this.disturbedUntilMs && this.#foreign.size === 0;
      if (kept) throw new Error(`I3: ${subject} is not of the layout in force and is refreshed`);
    }
  }
}

const parseSubject = (subject: string): ParsedKey | undefined =>
  subject.startsWith(PREFIX) ? parseInstanceKey(subject.slice(PREFIX.length)) : undefined;
