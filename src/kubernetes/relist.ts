// The slow second look: every now and then lists what a watch is believed to have told, a page at a time, and puts right
// what differs. A watch that loses a line (its server's fault, or that of something in between) says so to nobody, and its
// stream looks healthy; without this a lost deletion would stay in the view until the process ends.
//
// The pages are all as of one version R. Nothing is compared before the stream has reached R as well: the view is then what
// the stream told up to R, and of keys that it has told of since (`Touched`) it knows better than the list. So each page is
// compared as it comes, and of the whole list only the keys are kept. What the list lacks passes the brake, as with any list.
// Another list meanwhile, or a stream that does not get to R, ends the attempt: the guard and the reflector see to those.

import type { Random } from '../clock.ts';
import type { ViewObject } from '../controllers/view.ts';
import type { ViewSource } from '../controllers/view-source.ts';
import type { ObjectKey } from '../domain/pod.ts';
import type { Log } from '../log.ts';
import { ApiError } from './api-transport.ts';
import { type PagedList, pagesOf } from './first-list.ts';
import { compareResourceVersions, reaches } from './resource-version.ts';
import { Breather } from './watch-decoder.ts';

/** A relist that is under way: which keys the stream has told of since it began, with the version of the last event. */
export type Touched = Map<ObjectKey, string>;

export type RelistOptions<T extends ViewObject> = {
  /** Of which lists; with the clock and the signal of everything here. */
  readonly pages: PagedList;
  readonly random: Random;
  readonly log: Log;
  readonly intervalMs: number;
  readonly source: ViewSource<T>;
  readonly keyOf: (item: unknown) => ObjectKey;
  readonly trim: (item: unknown) => T | undefined;
  /** Where the stream stands; undefined: it is not followed now. */
  readonly place: () => string | undefined;
  /** How many whole lists the view has been made equal to. */
  readonly lists: () => number;
  /** The reflector notes here what its stream tells, while this is set. */
  readonly noteIn: (touched: Touched | undefined) => void;
  readonly count: (what: 'relists' | 'drifted', many: number) => void;
};

/** Views and replicas that started together drift apart. */
const JITTER = 0.25;
/**
 * Nobody waits for it: pages of half the size keep the event loop half as long, and the pause between them keeps a relist
 * below a fifth of a core and ten requests a second. 150,000 pods of 11 KB (2,200 pages) take four minutes, and continue
 * tokens live for five.
 */
const PAGE_BYTES = 750_000;
const PAGE_PAUSE_MS = 100;
/** The stream gets to the list's version by its next event, else by the next proof, which is asked for after 5 s of silence. */
const CATCH_UP_MS = 20_000;
const CATCH_UP_LOOK_MS = 200;
/** After a failure; where the interval is shorter, the interval. */
const RETRY_MS = 60_000;

/** Runs until the signal aborts. Never rejects: a relist that fails is made again a minute later. */
export async function keepRelisting<T extends ViewObject>(options: RelistOptions<T>): Promise<void> {
  const { random, intervalMs, log, pages } = options;
  const { clock, signal } = pages;
  const jittered = (ms: number) => ms * (1 - JITTER + 2 * JITTER * random());
  let waitMs = jittered(intervalMs);
  while (!signal.aborted) {
    await clock.sleep(waitMs, signal);
    if (signal.aborted) return;
    waitMs = jittered(intervalMs);
    try {
      await new Relist(options).run();
    } catch (cause) {
      if (signal.aborted) return;
      const error = ApiError.fromFailure('relist', cause);
      log.debug({ path: pages.path, error: error.message }, 'the relist failed');
      waitMs = Math.max(jittered(Math.min(intervalMs, RETRY_MS)), error.retryAfterMs ?? 0);
    } finally {
      options.noteIn(undefined);
    }
  }
}

class Relist<T extends ViewObject> {
  readonly #options: RelistOptions<T>;
  readonly #touched: Touched = new Map();
  readonly #breather: Breather;
  readonly #began: number;
  #drifted = 0;

  constructor(options: RelistOptions<T>) {
    this.#options = options;
    this.#breather = new Breather(options.pages.clock);
    this.#began = options.lists();
  }

  async run(): Promise<void> {
    const { count, log, pages, place, noteIn } = this.#options;
    const { clock, signal } = pages;
    const standsAt = place();
    if (standsAt === undefined) return;
    noteIn(this.#touched);
    const seen = new Set<ObjectKey>();
    let version: string | undefined;
    for await (const page of pagesOf({ ...pages, pageBytes: PAGE_BYTES })) {
      if (version === undefined) {
        version = page.resourceVersion;
        // An API server that lags behind the one that we watch knows nothing that we do not.
        if (!reaches(version, standsAt) || !(await this.#caughtUp(version))) return;
      } else await clock.sleep(PAGE_PAUSE_MS, signal);
      if (!(await this.#compare(page.items, version, seen))) return;
    }
    if (version === undefined || this.#isOutdated) return;
    const held = await this.#removeAbsent(seen, version);
    count('relists', 1);
    if (this.#drifted === 0) return;
    count('drifted', this.#drifted);
    log.warn(
      { path: pages.path, objects: this.#drifted, held },
      'the watch had not told everything; put right by a list',
    );
  }

  /** Whether the stream has come as far as the list, in time. */
  async #caughtUp(version: string): Promise<boolean> {
    const { pages, place } = this.#options;
    const { clock, signal } = pages;
    const untilMs = clock.monotonicMs() + CATCH_UP_MS;
    while (!this.#isOutdated && clock.monotonicMs() < untilMs) {
      if (reaches(place() ?? '', version)) return true;
      await clock.sleep(CATCH_UP_LOOK_MS, signal);
    }
    return false;
  }

  /** False: it makes no sense any more. */
  async #compare(items: readonly unknown[], version: string, seen: Set<ObjectKey>): Promise<boolean> {
    const { source, keyOf, trim } = this.#options;
    for (const item of items) {
      if (this.#breather.due) await this.#breather.rest();
      if (this.#isOutdated) return false;
      const key = keyOf(item);
      if (this.#knowsBetter(key, version)) continue;
      const object = trim(item);
      if (object === undefined) continue;
      // The key that the view has already, so that a relist leaves no second one of each in memory.
      seen.add(source.get(key)?.key ?? object.key);
      if (source.put(object)) this.#drifted += 1;
    }
    return true;
  }

  /** Resolves with how many of these the brake holds. */
  async #removeAbsent(seen: ReadonlySet<ObjectKey>, version: string): Promise<number> {
    const { pages, source } = this.#options;
    const isAbsent = (key: ObjectKey) => !seen.has(key) && !this.#knowsBetter(key, version);
    const before = source.heldObjects.size;
    for (const removed of source.removeAbsent(isAbsent, pages.clock.monotonicMs())) {
      if (removed) this.#drifted += 1;
      if (this.#breather.due) await this.#breather.rest();
      if (this.#isOutdated) break;
    }
    if (!this.#isOutdated) source.confirm(pages.clock.monotonicMs());
    const held = Math.max(0, source.heldObjects.size - before);
    this.#drifted += held;
    return held;
  }

  /** The stream has told of the key since the list was made. */
  #knowsBetter(key: ObjectKey, version: string): boolean {
    const told = this.#touched.get(key);
    return told !== undefined && (compareResourceVersions(told, version) ?? 1) > 0;
  }

  /** A whole list came in between, or comes, or everything ends. */
  get #isOutdated(): boolean {
    const { lists, pages, place } = this.#options;
    return pages.signal.aborted || lists() !== this.#began || place() === undefined;
  }
}
