// A crash at one certain await of a replica: every call to the registry, the API server and the clock counts, once when
// it is made and once when it is answered. At the k-th the replica is no more: what it sent arrives, nothing else of it
// goes on. Whoever wants to know how many there are takes an infinite k.

import type { StreamRequest } from '../../../src/kubernetes/api-transport.ts';
import type { Announcement, BatchMessage, StoredMessage } from '../../../src/writer/registry.ts';
import type { FakeConnection } from '../../support/fake-api.ts';
import type { FakeClock } from '../../support/fake-clock.ts';
import { FakeRegistry } from '../../support/fake-registry.ts';
import type { FakeStream } from '../../support/fake-stream.ts';

const NEVER = new Promise<never>(() => undefined);

export class CrashPoint {
  readonly #at: number;
  readonly #onCrash: () => void;
  readonly #now: () => number;
  #passed = 0;
  #writes = 0;
  #mark = '';
  /** The awaits before which something was sent or time passed: at the others the world outside is as at the one before. */
  readonly distinct: number[] = [];

  /** `onCrash` is called synchronously: it makes the replica deaf and dumb. */
  constructor(at: number, onCrash: () => void, now: () => number) {
    this.#at = at;
    this.#onCrash = onCrash;
    this.#now = now;
  }

  get passed(): number {
    return this.#passed;
  }

  get hasCrashed(): boolean {
    return this.#passed >= this.#at;
  }

  /** Calls, unless the crash comes first; answers, unless it came meanwhile. */
  async around<T>(call: () => Promise<T>, what: 'write' | 'other' = 'other'): Promise<T> {
    if (this.#isOver()) return NEVER;
    if (what === 'write') this.#writes += 1;
    const answer = await call();
    return this.#isOver() ? NEVER : answer;
  }

  #isOver(): boolean {
    if (this.hasCrashed) return true;
    this.#passed += 1;
    const mark = `${this.#now()} ${this.#writes}`;
    if (mark !== this.#mark) this.distinct.push(this.#passed);
    this.#mark = mark;
    if (this.hasCrashed) this.#onCrash();
    return this.hasCrashed;
  }
}

export const withCrashes = (clock: FakeClock, point: CrashPoint): FakeClock => {
  const sleep = clock.sleep.bind(clock);
  const turn = clock.yield.bind(clock);
  clock.sleep = (ms, signal) => point.around(() => sleep(ms, signal));
  clock.yield = () => point.around(turn);
  return clock;
};

export const connectionWithCrashes = (connection: FakeConnection, point: CrashPoint): FakeConnection => {
  const request = connection.request.bind(connection);
  const stream = connection.stream.bind(connection);
  connection.request = (asked) => point.around(() => request(asked), asked.method === 'GET' ? 'other' : 'write');
  connection.stream = (asked: StreamRequest) => point.around(() => stream(asked));
  return connection;
};

export class CrashingRegistry extends FakeRegistry {
  readonly #point: CrashPoint;

  constructor(stream: FakeStream, name: string, clock: FakeClock, point: CrashPoint) {
    super(stream, name, clock);
    this.#point = point;
  }

  override commit(messages: readonly BatchMessage[], signal: AbortSignal) {
    return this.#point.around(() => super.commit(messages, signal), 'write');
  }

  override read(subjects: readonly string[], signal: AbortSignal) {
    return this.#point.around(() => super.read(subjects, signal));
  }

  override readRevision(revision: number, signal: AbortSignal) {
    return this.#point.around(() => super.readRevision(revision, signal));
  }

  override async *readBack(filters: readonly string[], signal: AbortSignal): AsyncGenerator<readonly StoredMessage[]> {
    const pages = super.readBack(filters, signal);
    for (;;) {
      const { value, done } = await this.#point.around(() => pages.next());
      if (done === true) return;
      yield value;
    }
  }

  override inspect(signal: AbortSignal) {
    return this.#point.around(() => super.inspect(signal));
  }

  override announce(announcement: Announcement): void {
    // Sent without an await, and of no account but for who should lead.
    if (!this.#point.hasCrashed) super.announce(announcement);
  }
}
