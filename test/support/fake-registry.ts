// The port `Registry` on a `FakeStream`: one client of it, with a link that a simulation can disturb. The contract test
// (`test/contract/registry.contract.ts`) holds it to what a real server does.

import { assertWellFormed } from '../../src/nats/batch.ts';
import type {
  Announcement,
  BatchMessage,
  BucketReport,
  CommitOutcome,
  Registry,
  StoredMessage,
} from '../../src/writer/registry.ts';
import { RegistryError } from '../../src/writer/registry.ts';
import type { FakeClock } from './fake-clock.ts';
import { RegistryFaults } from './fake-registry-faults.ts';
import { type FakeStream, matches } from './fake-stream.ts';

/**
 * `up`: all is well. `disconnected`: the link is known to be down. `stalled`: a paused server or a cut cable: calls get
 * no answer, and after `STALL_NOTICED_MS` the client notices and is as good as disconnected.
 */
export type LinkState = 'up' | 'disconnected' | 'stalled';

/** Pings of 1 s, two of which may be missing. */
const STALL_NOTICED_MS = 2_500;
const COMMIT_TIMEOUT_MS = 2_000;
const READ_TIMEOUT_MS = 2_000;
const PAGE_MESSAGES_MAX = 1_000;
/** How late a stalled batch may still be stored: bytes can lie in a paused server's socket for as long as it is paused. */
const LATE_MAX_MS = 30_000;
/** One way, at random up to this. */
const LATENCY_MAX_MS = 4;
const FOLLOW_LATENCY_MS = 2;
/** A reason at hand: without one, each abort makes an error. */
const ANSWERED = 'answered';

export class FakeRegistry implements Registry {
  readonly name: string;
  /** What the server's wall clock is ahead of the client's, as `inspect` tells. */
  clockOffsetMs = 0;
  /** What else can be wrong with the way to the server. */
  readonly faults: RegistryFaults;
  readonly #stream: FakeStream;
  /** The client's own: it stands still while the process does. */
  readonly #clock: FakeClock;
  readonly #connectionListeners = new Set<(connected: boolean) => void>();
  readonly #followers = new Set<Follower>();
  #state: LinkState = 'up';
  #connected = true;
  #down = new AbortController();
  #cancelNotice: () => void = () => undefined;
  #inspected = false;
  #report: Exclude<BucketReport, { kind: 'usable' }> | undefined;
  #commitFault: CommitOutcome | undefined;
  #readFault: RegistryError['kind'] | undefined;

  constructor(stream: FakeStream, name: string, clock = stream.clock) {
    this.name = name;
    this.#stream = stream;
    this.#clock = clock;
    this.faults = new RegistryFaults(stream.random);
    stream.onStored((message) => {
      for (const follower of this.#followers) this.#tell(follower, message);
    });
  }

  // ---- what a simulation switches

  setLink(state: LinkState): void {
    this.#state = state;
    this.#cancelNotice();
    if (state === 'up') {
      this.#setConnected(true);
      for (const follower of this.#followers) this.#catchUp(follower);
    } else if (state === 'disconnected') this.#setConnected(false);
    else this.#cancelNotice = this.#clock.after(STALL_NOTICED_MS, () => this.#setConnected(false));
  }

  /** Every commit that reaches the server ends so, storing nothing; undefined: normally again. */
  failCommits(outcome: CommitOutcome | undefined): void {
    this.#commitFault = outcome;
  }

  failReads(kind: RegistryError['kind'] | undefined): void {
    this.#readFault = kind;
  }

  /** What `inspect` says from now on; undefined: what is true. */
  setReport(report: Exclude<BucketReport, { kind: 'usable' }> | undefined): void {
    this.#report = report;
  }

  // ---- the port

  async commit(messages: readonly BatchMessage[], signal: AbortSignal): Promise<CommitOutcome> {
    assertWellFormed(messages);
    if (this.#report?.kind === 'unsupported') {
      return { kind: 'rejected', reason: 'Unsupported', description: this.#report.reasons.join('; ') };
    }
    if (!this.#inspected) return { kind: 'retry', description: 'no bucket has been found yet: inspect it first' };
    if (!this.#connected) return { kind: 'retry', description: 'not connected to NATS' };
    if (signal.aborted) return { kind: 'retry', description: 'stopped' };
    const batch = messages.map((message) => ({ ...message, body: message.body.slice() }));
    const { incarnation } = this.#stream;
    if (this.#state === 'stalled') {
      this.#storePerhaps(batch, incarnation);
      return this.#silence(COMMIT_TIMEOUT_MS, signal);
    }
    // The bytes are under way: from here on the server acts whatever becomes of us, and we may miss its answer.
    const answer = Promise.withResolvers<CommitOutcome>();
    this.#stream.clock.after(this.#latency() + this.faults.uplinkMs(), () => {
      const outcome = this.#commitFault ?? this.faults.refusal() ?? this.#arrive(batch, incarnation);
      if (this.faults.losesAnswer()) return;
      this.#clock.after(this.#latency(), () => this.#state === 'up' && answer.resolve(outcome));
    });
    const stop = new AbortController();
    const silence = this.#silence(COMMIT_TIMEOUT_MS, signal, stop.signal);
    const outcome = await Promise.race([answer.promise, silence]);
    stop.abort(ANSWERED);
    return outcome;
  }

  async read(subjects: readonly string[], signal: AbortSignal): Promise<readonly (StoredMessage | undefined)[]> {
    await this.#roundTrip(signal);
    return subjects.map((subject) => this.#stream.last(subject));
  }

  async readRevision(revision: number, signal: AbortSignal): Promise<StoredMessage | undefined> {
    await this.#roundTrip(signal);
    return this.#stream.at(revision);
  }

  async *readBack(filters: readonly string[], signal: AbortSignal): AsyncGenerator<readonly StoredMessage[]> {
    let seenRevision = 0;
    for (;;) {
      await this.#roundTrip(signal);
      const rest = this.#stream
        .messages()
        .filter(
          ({ subject, revision }) => revision > seenRevision && filters.some((filter) => matches(filter, subject)),
        );
      const page = rest.slice(0, PAGE_MESSAGES_MAX);
      seenRevision = page.at(-1)?.revision ?? seenRevision;
      if (page.length > 0) yield page;
      if (page.length === rest.length) return;
    }
  }

  announce({ subject, ttlSeconds, headerLines }: Announcement): void {
    if (!this.#inspected || !this.#connected || this.#report !== undefined) return;
    // Nobody waits for it: what a stalled link would deliver late is taken as lost.
    if (this.#state !== 'up') return;
    this.#stream.clock.after(this.#latency(), () =>
      this.#stream.storeAlone(subject, ttlSeconds, headerLines, this.name),
    );
  }

  async inspect(signal: AbortSignal): Promise<BucketReport> {
    try {
      await this.#roundTrip(signal, 'ignore faults');
    } catch (error) {
      return { kind: 'unavailable', description: String(error) };
    }
    if (this.#report !== undefined) {
      return this.#report;
    }
    const stream = this.#stream;
    if (!stream.exists) stream.remake();
    this.#inspected = true;
    return {
      kind: 'usable',
      serverVersion: '2.15.2',
      incarnation: stream.incarnation,
      lastRevision: stream.lastRevision,
      messages: stream.messages().length,
      bytes: stream.bytes(),
      maxBytes: -1,
      maxAgeSeconds: 0,
      markerTtlSeconds: stream.markerTtlSeconds,
      history: 1,
      replicas: 1,
      clockOffsetMs: this.clockOffsetMs + stream.wallMs() - this.#clock.wallMs(),
    };
  }

  async follow(subject: string, onMessage: (message: StoredMessage) => void, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const follower: Follower = { filter: subject, onMessage, seen: undefined };
    this.#followers.add(follower);
    this.#catchUp(follower);
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    this.#followers.delete(follower);
  }

  connected(): boolean {
    return this.#connected;
  }

  onConnectionChange(listener: (connected: boolean) => void): void {
    this.#connectionListeners.add(listener);
  }

  // ---- the link

  #setConnected(connected: boolean): void {
    if (connected === this.#connected) return;
    this.#connected = connected;
    if (connected) {
      this.#down = new AbortController();
    } else {
      this.#down.abort();
    }
    for (const listener of this.#connectionListeners) listener(connected);
  }

  /** A batch that nobody answers: lost, stored at once, or stored late, when its lock may be long gone. */
  #storePerhaps(batch: readonly BatchMessage[], incarnation: string): void {
    const { clock, random } = this.#stream;
    const fate = Math.floor(random() * 3);
    if (fate === 0) return;
    clock.after(fate === 1 ? this.#latency() : random() * LATE_MAX_MS, () => void this.#arrive(batch, incarnation));
  }

  /**
   * What was sent to a stream that is no more does not fit the one made anew: by their revisions alone the two could only
   * be mixed up in streams as short as a simulation's, and nothing but revisions fences a batch.
   */
  #arrive(batch: readonly BatchMessage[], incarnation: string): CommitOutcome {
    if (this.#stream.exists && this.#stream.incarnation !== incarnation) return { kind: 'conflict', actualRevision: 0 };
    return this.#stream.storeBatch(batch, this.name);
  }

  async #silence(timeoutMs: number, ...signals: readonly AbortSignal[]): Promise<CommitOutcome> {
    await this.#clock.sleep(timeoutMs, ...signals, this.#down.signal);
    return { kind: 'unknown', description: 'no answer in time' };
  }

  async #roundTrip(signal: AbortSignal, faults?: 'ignore faults'): Promise<void> {
    if (signal.aborted) throw new RegistryError('transient', 'stopped');
    if (!this.#connected) throw new RegistryError('transient', 'not connected to NATS');
    const down = this.#down.signal;
    await this.#clock.sleep(this.#state === 'stalled' ? READ_TIMEOUT_MS : 2 * this.#latency(), signal, down);
    if (signal.aborted || down.aborted || this.#state !== 'up')
      throw new RegistryError('transient', 'no answer in time');
    if (faults !== undefined) return;
    if (this.#readFault !== undefined) throw new RegistryError(this.#readFault, 'a fault of the simulation');
    if (!this.#stream.exists) throw new RegistryError('missing', 'stream not found (10059)');
  }

  #latency(): number {
    return this.#stream.random() * LATENCY_MAX_MS;
  }

  #catchUp(follower: Follower): void {
    for (const message of this.#stream.messages(follower.filter)) this.#tell(follower, message);
  }

  #tell(follower: Follower, message: StoredMessage): void {
    if (this.#state !== 'up' || !matches(follower.filter, message.subject)) return;
    this.#clock.after(FOLLOW_LATENCY_MS, () => {
      const { seen } = follower;
      if (this.#state !== 'up' || !this.#followers.has(follower)) return;
      if (seen && message.revision <= seen.revision && message.storedAtMs <= seen.storedAtMs) return;
      follower.seen = message;
      follower.onMessage(message);
    });
  }
}

type Follower = {
  readonly filter: string;
  readonly onMessage: (message: StoredMessage) => void;
  seen: StoredMessage | undefined;
};
