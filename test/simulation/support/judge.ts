// Judges a world by the invariants of the registry, from the raw log of the stream and the truth about the pods. It
// knows nothing of how the operator works, and looks at every message exactly once.

import { formsOf, type KeyForm, type ParsedKey, parseInstanceKey } from '../../../src/domain/names.ts';
import { refusals } from '../../support/strict-readers.ts';

import { GateJudge } from './gate-judge.ts';
import { PresenceJudge } from './presence-judge.ts';
import { QuietJudge } from './quiet-judge.ts';
import { StickyJudge } from './sticky-judge.ts';
import { BUCKET, OPERATOR_ID, REGISTRATIONS, type Truth, type World } from './world.ts';

const PREFIX = `$KV.${BUCKET}.`;
/** What replicas say of themselves: outside batches and terms. */
const ANNOUNCEMENTS = `$ROLLCALL.${BUCKET}.${OPERATOR_ID}.replica.`;
export const LOCK = `$ROLLCALL.${BUCKET}.${OPERATOR_ID}.lock`;
/** I2: 2 s, and up to 8 s without a leader after a crash. */
const FAREWELL_MS = 10_000;
/** I1: a pod counts as Ready once it has been so for this long. */
const READY_FOR_MS = 5_000;

/** I1: without the registry for longer than this in all, a key may lapse. */
const OUTAGE_MS = 12_000;
/** Expiry comes up to this long after the TTL. */
const EXPIRY_MS = 500;
/** F11: of a view whose one source is silent; and looks. */
const SILENT_SOURCE_MS = 61_000;
/** A leader that hears nothing yields within 20 s to one that does; a view ages for 15 s of them. */
const BROKEN_LEADS_MS = 25_000;
const BLIND_HAND_OVER_MS = 3_000;
/** TTLs that a hand-over after a crash may outlast. */
const SHORT_TTL_MS = 15_000;

type Live = {
  readonly key: ParsedKey;
  readonly uid: string;
  readonly status: string;
  readonly value: Value;
  readonly atMs: number;
  readonly ttlMs: number;
  /** So much sooner it lapses, because the server's clock jumped. */
  soonerMs: number;
};

type Stored = ReturnType<World['stream']['messages']>[number];

type Value = {
  readonly status: string;
  readonly lastHeartbeat: string;
  readonly stickyActiveGroup: string | null;
  readonly metadata: Readonly<Record<string, unknown>> & { readonly stickyTerm?: number };
};

/** Readers take the instance for alive. */
const isUp = (status: string): boolean => status === 'ACTIVE' || status === 'STANDBY';

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
  #read = 0;
  #revision = 0;
  /** Subjects of ours that somebody wrote, and whether any of them more than once. */
  readonly #taken = new Set<string>();
  #takenTwice = false;
  /** When somebody else's value last went. */
  #freedAtMs = Number.NEGATIVE_INFINITY;
  #term = -1;
  /** The last moment at which a fault may have kept the operator from seeing or saying something. */
  disturbedUntilMs = 0;
  /** Lists lack everything: nothing may go. */
  braked = false;
  brakedUntilMs = Number.NEGATIVE_INFINITY;
  /** When somebody last removed a key, or took one, for which nothing rings. */
  #disruptedAtMs = Number.NEGATIVE_INFINITY;
  #brokenLedSinceMs: number | undefined;
  /** When some replica, or all, could not reach the registry. */
  readonly outages: { readonly fromMs: number; untilMs: number }[] = [];
  /** When faults kept some replica from seeing the cluster. */
  readonly blind: { readonly fromMs: number; untilMs: number; readonly broken?: true }[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#gates = new GateJudge(world);
    this.#sticky = new StickyJudge(world);
    this.#presence = new PresenceJudge(world);
  }

  /** The server's clock jumped: forward, what was not refreshed for so long lapses at once. */
  jumped(ms: number): void {
    for (const live of this.#live.values()) live.soonerMs += ms;
    this.#disruptedAtMs = this.#world.clock.monotonicMs();
  }

  /** The server lost what it had acknowledged: revisions and terms begin anew from an earlier one. */
  forgot(): void {
    // What is lost and what is there again stands in the log.
    this.check();
    this.#term = -1;
    this.#revision = 0;
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
    this.#leadsWhoIsWell();
    this.#gates.check(this.outages);
    const [error] = this.#world.errors;
    if (error !== undefined) throw new Error(`an error was logged: ${error}`);
  }

  /** What somebody took, and what is left to lapse, has its time; so has a view after trouble. */
  get mayStillConverge(): boolean {
    const nowMs = this.#world.clock.monotonicMs();
    const lapsing = this.#world.isLapsing || this.#world.lapsingUntilMs > nowMs - 65_000;
    return this.#foreign.size > 0 || this.#taken.size > 0 || lapsing || this.disturbedUntilMs > nowMs - 15_000;
  }

  /** I9: what the registry must hold once nothing happens any more. */
  checkConverged(): void {
    this.check();
    for (const pod of this.#world.livingPods) {
      const missing = this.#forms.filter((form) => !this.#isUp(pod.uid, form));
      if (this.#world.wants(pod) && missing.length > 0) {
        throw new Error(`I9: pod ${pod.name} is Ready and has no live key in form ${missing.join(' and ')}`);
      }
    }
    this.#checkTruth();
    this.#gates.checkConverged();
    const ready = this.#world.livingPods.filter((pod) => this.#world.wants(pod)).length;
    const told = this.#told('active') + this.#told('standby');
    // A key that is left to lapse is ACTIVE until it does.
    if (told !== ready && !(this.#world.isLapsing && told > ready))
      throw new Error(`I8: status tells ${told} active or standby instances where ${ready} pods are Ready`);
    const shared = this.#world.spec?.stickyActiveGroup !== undefined;
    const expected = shared ? Math.min(ready, 1) : ready;
    if (this.#told('active') !== expected && !this.#world.isLapsing)
      throw new Error(`I8: status tells ${this.#told('active')} active instances where there must be ${expected}`);
  }

  /** I4: what stands says of its pod what the API server says. */
  #checkTruth(): void {
    const { spec } = this.#world;
    for (const [subject, { uid, value, key, status }] of this.#live) {
      const pod = this.#world.pods.get(uid);
      if (spec === undefined || pod === undefined || !isUp(status) || !this.#world.wants(pod)) continue;
      // One that was left behind lapses as it was.
      if (!this.#forms.includes(key.form) || this.#newest.get(`${key.form} ${uid}`) !== subject) continue;
      const { metadata, stickyActiveGroup } = value;
      const said = [metadata['pod'], metadata['ip'], metadata['team'], stickyActiveGroup];
      const true_ = [pod.name, pod.ip, spec.metadata['team'], spec.stickyActiveGroup ?? null];
      if (said.some((one, index) => one !== true_[index]))
        throw new Error(`I4: ${subject} says ${JSON.stringify(said)} where ${JSON.stringify(true_)} is true`);
    }
  }

  /** I9, I12: from here on nothing but refreshes may be written, and no more than there must be. */
  expectQuiet(): void {
    this.#quiet.begin(this.#world);
  }

  checkQuiet(): void {
    this.#quiet.end(this.#world);
  }

  /** A count of the status, over all registrations. */
  #told(count: 'active' | 'standby'): number {
    return REGISTRATIONS.reduce((sum, name) => {
      const status = this.#world.api.get('ServiceRegistration', 'default', name)?.['status'];
      return sum + ((status as { instances?: Record<string, number> } | undefined)?.instances?.[count] ?? 0);
    }, 0);
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
    const [unread] = refusals(body);
    if (unread !== undefined) throw new Error(`${message.subject}: ${unread}: ${body}`);
    const value = JSON.parse(body) as Value;
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
      atMs - Math.max(this.#world.wantsSinceMs(pod), this.disturbedUntilMs) > FAREWELL_MS + this.#world.graceMs(pod);
    if (isUp(status) && !this.#world.wants(pod) && calm) throw new Error(`I2: dead pod ${pod.name} was refreshed`);
    if (isUp(status)) this.#newest.set(`${key.form} ${uid}`, message.subject);
    if (isUp(status)) this.#gates.registered.add(uid);
    if (status === 'UNHEALTHY') this.#noticed(message.subject, pod, atMs);
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
    const { specChangedAtMs, spec, startedAtMs } = this.#world;
    const seen = startedAtMs < pod.changedAtMs - READY_FOR_MS && specChangedAtMs < pod.changedAtMs - FAREWELL_MS;
    if (!wasActive || !seen || pod.gone || pod.ready || spec === undefined || spec.suspend) return;
    const forMs = atMs - pod.changedAtMs;
    if (forMs < spec.notReadyGraceSeconds * 1_000) throw new Error(`${pod.name} was told UNHEALTHY after ${forMs} ms`);
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
      const sinceMs = Math.max(this.#world.wantsSinceMs(pod), this.disturbedUntilMs);
      if (nowMs - sinceMs > FAREWELL_MS + this.#world.graceMs(pod))
        throw new Error(`I2: ${subject} is ACTIVE ${nowMs - sinceMs} ms after ${pod.name} went`);
    }
  }

  /** What the keys of an instance look like by now. */
  get #forms(): readonly KeyForm[] {
    return formsOf(this.#world.spec?.keyLayout ?? 'Dotted');
  }

  #isUp(uid: string, form: KeyForm): boolean {
    return [...this.#live.values()].some((live) => live.uid === uid && live.key.form === form && isUp(live.status));
  }

  /** When every replica has seen the last change of the spec. */
  get #specSeenAtMs(): number {
    const changedAtMs = this.#world.specChangedAtMs;
    const spells = this.blind.filter(
      ({ fromMs, untilMs }) => changedAtMs > fromMs - READY_FOR_MS && changedAtMs < untilMs,
    );
    return Math.max(changedAtMs, ...spells.map(({ untilMs }) => untilMs));
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
    this.#presence.check((uid) => this.#forms.every((form) => this.#isUp(uid, form)), excusedUntilMs, isBlind);
  }

  /** One that is broken for good may lead until one that is well has announced itself and the lock has passed. */
  #leadsWhoIsWell(): void {
    const world = this.#world;
    const nowMs = world.clock.monotonicMs();
    if (world.broken.length === 0) return;
    const lock = world.stream.last(LOCK);
    const holder = lock?.operation === 'PUT' ? lock.headers['Rollcall-Holder'] : undefined;
    if (!world.broken.some(({ name }) => name === holder)) {
      this.#brokenLedSinceMs = undefined;
      return;
    }
    this.#brokenLedSinceMs ??= nowMs;
    // What nothing happened to it may show as well as any other. What did happen another shows when it leads.
    const { faults } = world.broken[0]?.api ?? {};
    const isCut = faults?.unreachable === true;
    if (nowMs - world.changedAtMs < (isCut ? BROKEN_LEADS_MS : SILENT_SOURCE_MS)) {
      this.disturbedUntilMs = Math.max(this.disturbedUntilMs, nowMs + BLIND_HAND_OVER_MS);
      this.blind.push({ fromMs: nowMs - 500, untilMs: nowMs + BLIND_HAND_OVER_MS, broken: true });
    }
    if (!isCut) return;
    const others = [...this.outages, ...this.blind.filter(({ broken }) => broken !== true)];
    const sinceMs = Math.max(this.#brokenLedSinceMs, world.startedAtMs, ...others.map(({ untilMs }) => untilMs));
    if (nowMs - sinceMs > BROKEN_LEADS_MS)
      throw new Error(`I5: ${holder} is cut off and leads for ${nowMs - sinceMs} ms while another is well`);
  }

  #oneKeyPerPod(): void {
    const owners = new Set<string>();
    for (const [subject, { key, uid, status, atMs }] of this.#live) {
      if (!isUp(status)) continue;
      // A change of ids or of the layout leaves the old key behind, to lapse.
      if (atMs < this.#specSeenAtMs + FAREWELL_MS) continue;
      const owner = `${key.form} ${uid}`;
      if (owners.has(owner)) throw new Error(`I3: pod ${uid} has a second live key ${subject}`);
      owners.add(owner);
      const kept = !this.#forms.includes(key.form) && atMs > this.disturbedUntilMs && this.#foreign.size === 0;
      if (kept) throw new Error(`I3: ${subject} is not of the layout in force and is refreshed`);
    }
  }
}

const parseSubject = (subject: string): ParsedKey | undefined =>
  subject.startsWith(PREFIX) ? parseInstanceKey(subject.slice(PREFIX.length)) : undefined;
