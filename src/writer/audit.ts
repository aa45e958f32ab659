// The audit of a term: from time to time the stream is read back and compared with the table. What differs is asked
// for once more, of the stream's leader, and then takes the ordinary path: a row learns what stands under its key, a key
// that nobody wishes for gets its farewell, and what only one server of a cluster still has a marker. Nothing is written
// here, and without a difference nothing changes.

import type { InstanceKey } from '../domain/instance.ts';
import { parseInstanceKey } from '../domain/names.ts';
import { parseOwner } from '../domain/service-instance.ts';
import { LAPSE_SLACK_MS, type Observed, type Row } from '../table/row.ts';
import { instanceFilters, KEYS_PER_BATCH, subjectOf } from './batch-plan.ts';
import { judgeContext, learn } from './commit.ts';
import type { WriterContext } from './context.ts';
import { judge } from './judge.ts';
import type { Term } from './lock.ts';
import { orphanOf } from './orphan.ts';
import { RegistryError, type StoredMessage } from './registry.ts';
import { adoptOrphans, hasOutlived } from './take-over.ts';

/** The take-over was one itself, and its sweep is over by then. */
const FIRST_AFTER_MS = 15_000;
const EVERY_MS = 60_000;
/**
 * One audit reads from one server of a cluster, by chance: where one had ghosts, the others may have other ones. After six
 * in a row without any, a server that has some was missed once in eleven times, and left to the next minutes.
 */
const AGAIN_AFTER_MS = 5_000;
const CLEAN_IN_A_ROW = 6;
/** What became wished for a shorter while ago has had no time to be written. */
const EXPECTED_AFTER_MS = 5_000;
/** Comparing this many messages at a stretch keeps the event loop free enough. */
const SLICE = 500;

/** What one audit found, in keys. All but `compared` and `foreign` are 0 where all is well. */
export type Findings = {
  readonly compared: number;
  /** Ours, said to be alive or long due to have lapsed, and nobody wishes for them. */
  readonly ghosts: number;
  /** Of Ready pods, and not there: neither ours nor anybody's. */
  readonly missing: number;
  /** Not as the table knows them: another revision, or other bytes. */
  readonly drifted: number;
  /** Under names of ours, written by others. */
  readonly foreign: number;
};

/**
 * Audits until the signal aborts, while the table is `ready`, which it is not before it was read back. What cannot be
 * read is left to the next time.
 */
export const audit = async (
  context: WriterContext,
  term: Term,
  ready: () => boolean,
  signal: AbortSignal,
): Promise<void> => {
  const { clock, log, observer } = context;
  let looksAgain = 0;
  for (let waitMs = FIRST_AFTER_MS; ; waitMs = looksAgain > 0 ? AGAIN_AFTER_MS : EVERY_MS) {
    await clock.sleep(waitMs, signal);
    if (signal.aborted) return;
    // An old view is nothing to compare with.
    if (!ready() || !context.fresh()) continue;
    try {
      const startedAtMs = clock.monotonicMs();
      const { found, newGhosts } = await auditOnce(context, term, signal);
      if (signal.aborted) return;
      looksAgain = newGhosts > 0 ? CLEAN_IN_A_ROW : Math.max(0, looksAgain - 1);
      // What was found stays told until it is believed to be all: whoever asks twice a minute is to see it.
      if (found.ghosts > 0 || looksAgain === 0) observer.audited(found);
      const tookMs = Math.round(clock.monotonicMs() - startedAtMs);
      if (found.ghosts + found.missing + found.drifted > 0) log.warn({ ...found, tookMs }, 'audit found differences');
      else log.debug({ ...found, tookMs }, 'audit');
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      log.debug({ description: error.message }, 'audit not possible');
    }
  }
};

/** `newGhosts`: without those whose marker could not be written yet. */
const auditOnce = async (
  context: WriterContext,
  term: Term,
  signal: AbortSignal,
): Promise<{ readonly found: Findings; readonly newGhosts: number }> => {
  const { table, registry, clock, bucket } = context;
  const startedAtMs = clock.monotonicMs();
  const seen = new Set<InstanceKey>();
  const suspects = new Set<InstanceKey>();
  const outlived = new Map<InstanceKey, StoredMessage>();
  let foreign = 0;
  for await (const page of registry.readBack(instanceFilters(bucket), signal, 'gently')) {
    for (let start = 0; start < page.length; start += SLICE) {
      for (const message of page.slice(start, start + SLICE)) {
        const key = keyOf(message, bucket);
        if (key === undefined || message.operation !== 'PUT') continue;
        seen.add(key);
        const row = table.get(key);
        const agrees = row === undefined ? !isGhost(message, context, term) : asKnown(row, message);
        const isLeft = isSilent(row) && isOurs(message, context) && hasOutlived(message, context, term);
        if (isLeft) outlived.set(key, message);
        if (isLeft || !agrees) suspects.add(key);
        else if (row === undefined ? !isOurs(message, context) : row.observed.kind === 'foreign') foreign += 1;
      }
      await clock.yield();
    }
  }
  let asked = 0;
  for (const row of table.rows()) {
    if (isExpected(row, startedAtMs) && !isWrittenSince(row, startedAtMs) && !seen.has(row.key)) suspects.add(row.key);
    if ((asked += 1) % (SLICE * 10) === 0) await clock.yield();
  }
  const confirmed = await confirm(context, term, [...suspects], outlived, signal);
  const found = { compared: seen.size, foreign: foreign + confirmed.foreign, ...confirmed.found };
  return { found, newGhosts: found.ghosts - confirmed.waiting };
};

/** Reads the suspects from the stream's leader: what was merely written meanwhile is none. */
const confirm = async (
  context: WriterContext,
  term: Term,
  suspects: readonly InstanceKey[],
  outlived: ReadonlyMap<InstanceKey, StoredMessage>,
  signal: AbortSignal,
) => {
  const { table, registry, clock, bucket } = context;
  const found = { ghosts: 0, missing: 0, drifted: 0 };
  let foreign = 0;
  let covered = 0;
  let waiting = 0;
  const strays = new Map<InstanceKey, StoredMessage>();
  for (let start = 0; start < suspects.length; start += KEYS_PER_BATCH) {
    const keys = suspects.slice(start, start + KEYS_PER_BATCH);
    const before = keys.map((key) => table.get(key)?.observed);
    const messages = await registry.read(
      keys.map((key) => subjectOf(bucket, key)),
      signal,
    );
    if (signal.aborted) return { found, foreign, waiting };
    for (const [index, key] of keys.entries()) {
      const message = messages[index];
      const row = table.get(key);
      const remnant = outlived.get(key);
      if (remnant !== undefined && message?.operation !== 'PUT' && cover(context, row, remnant, message)) {
        covered += 1;
        if (isRemnant(before[index])) waiting += 1;
        continue;
      }
      if (row === undefined) {
        if (message !== undefined && isGhost(message, context, term)) strays.set(key, message);
        continue;
      }
      // What came of it while it was read says more than what was read.
      if (row.inFlight || row.observed !== before[index]) continue;
      if (message?.operation === 'PUT' ? asKnown(row, message) : !isExpected(row, clock.monotonicMs())) continue;
      const observed = judge(message, row.wish.pod, judgeContext(context, term));
      if (observed.kind === 'none') found.missing += 1;
      else if (observed.kind === 'foreign') foreign += 1;
      else found.drifted += 1;
      // That there is nothing is no news where nothing was: the row goes on waiting for what it waits for.
      if (row.observed.kind !== observed.kind || observed.kind !== 'none') learn(context, row, observed);
    }
  }
  found.ghosts = strays.size + covered;
  if (signal.aborted) return { found, foreign, waiting };
  await adoptOrphans(context, strays, term, async () => {
    await clock.yield();
    if (signal.aborted) throw new RegistryError('transient', 'stopped');
  });
  return { found, foreign, waiting };
};

/**
 * A server of a cluster that came back from a crash may hold values again that lapsed, and keeps them for ever: the
 * stream's leader has none to expire, and whoever reads from that server is told of pods long gone. A marker under the key
 * takes their place on every server. Returns whether there will be one.
 */
const cover = (
  context: WriterContext,
  row: Row | undefined,
  remnant: StoredMessage,
  atLeader: StoredMessage | undefined,
): boolean => {
  const observed = { kind: 'none', revision: atLeader?.revision ?? 0, isRemnant: true } as const;
  if (row !== undefined) {
    if (!isSilent(row) || row.inFlight) return false;
    context.table.observe(row, observed);
    return true;
  }
  const orphan = orphanOf(remnant, context.bucket, context.operatorId, context.settingsOf);
  if (orphan === undefined) return false;
  context.table.adoptOrphan(orphan.wish, orphan.instanceId, orphan.form, observed);
  return true;
};

const isRemnant = (observed: Observed | undefined): boolean => observed?.kind === 'none' && observed.isRemnant === true;

/** Nothing stands under the key, and nothing is going to be written there. */
const isSilent = (row: Row | undefined): boolean =>
  row === undefined || (row.wish.state.kind === 'away' && row.observed.kind === 'none');

/** The table knows this message, or a later one, or knows that it does not know. */
const asKnown = ({ observed, inFlight }: Row, message: StoredMessage): boolean => {
  if (observed.kind === 'unknown' || inFlight || message.revision < observed.revision) return true;
  if (message.revision > observed.revision || observed.kind === 'none') return false;
  if (observed.kind === 'foreign' || observed.text === undefined) return true;
  const { head, tail } = observed.text;
  const { body } = message;
  return startsWith(body, head) && endsWith(body, tail);
};

/** A Ready pod's key that must stand by now: it did, or there was time enough to write it. */
const isExpected = (row: Row, nowMs: number): boolean => {
  const { wish, tenure, observed, wishedAtMs, yieldUntilMs, inFlight } = row;
  if (wish.state.kind !== 'live' || tenure !== 'current' || inFlight || nowMs < yieldUntilMs) return false;
  if (observed.kind === 'ours') return nowMs < observed.writtenAtMs + observed.ttlMs + LAPSE_SLACK_MS;
  return observed.kind === 'none' && nowMs > wishedAtMs + EXPECTED_AFTER_MS;
};

/** Its message was replaced while the stream was read, and the new one not waited for; it was acknowledged. */
const isWrittenSince = ({ observed }: Row, sinceMs: number): boolean =>
  observed.kind === 'ours' && observed.writtenAtMs >= sinceMs;

const keyOf = ({ subject }: StoredMessage, bucket: string): InstanceKey | undefined =>
  parseInstanceKey(subject.slice(subjectOf(bucket, '').length))?.key;

const isOurs = ({ headers }: StoredMessage, { operatorId }: WriterContext): boolean =>
  parseOwner(headers['Rollcall-Owner'] ?? '')?.operatorId === operatorId;

/** A value of ours that says a pod is alive whom nobody knows, and that is not merely left to lapse. */
const isGhost = (message: StoredMessage, context: WriterContext, term: Term): boolean => {
  const orphan = orphanOf(message, context.bucket, context.operatorId, context.settingsOf);
  if (orphan === undefined) return false;
  const { whenNotReady } = context.table.departedAs(orphan.wish) ?? orphan.wish;
  if (whenNotReady === 'Lapse') return false;
  const observed = judge(message, orphan.wish.pod, judgeContext(context, term));
  return observed.kind === 'ours' && observed.status !== 'UNHEALTHY';
};

/** UTF-8 of `text` at the beginning of the bytes. */
const startsWith = (body: Uint8Array, text: string): boolean => {
  const bytes = Buffer.from(text);
  return bytes.length <= body.length && bytes.equals(body.subarray(0, bytes.length));
};

const endsWith = (body: Uint8Array, text: string): boolean => {
  const bytes = Buffer.from(text);
  return bytes.length <= body.length && bytes.equals(body.subarray(body.length - bytes.length));
};
