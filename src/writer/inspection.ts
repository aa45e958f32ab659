// Watches over the stream itself while a term lasts: whether it is still the one that this term filled, and by what clock
// it dates its messages. What stands under single keys is for refusals, and for the audit.

import type { WriterContext } from './context.ts';
import type { Term } from './lock.ts';
import type { BucketReport } from './registry.ts';

/** How often the stream is asked whether it is still the one we filled. */
const EVERY_MS = 1_000;
/** The server's clock has been set when it is off by so much more than measuring is. */
const CLOCK_SET_MS = 1_000;

/** Resolves with the reason when it is no longer that stream; with nothing when the signal aborts. */
export const inspect = async (
  context: WriterContext,
  term: Term,
  onReport: (report: BucketReport) => void,
  signal: AbortSignal,
): Promise<string | undefined> => {
  const { registry, table, clock } = context;
  while (!signal.aborted) {
    await clock.sleep(EVERY_MS, signal);
    if (signal.aborted) return undefined;
    const { ours } = table;
    // Acknowledged before the question, so the answer knows it.
    const { lockRevision } = term;
    const report = await registry.inspect(signal);
    if (signal.aborted || report.kind === 'unavailable') continue;
    onReport(report);
    if (report.kind !== 'usable') return `the bucket is ${report.kind}`;
    noteServerClock(context, term, report.clockOffsetMs);
    if (report.incarnation !== term.incarnation) return 'the stream was made anew';
    if (report.lastRevision < lockRevision) return 'the stream lost its newest messages';
    if (report.messages >= ours) continue;
    // Keys that are about to lapse are among ours; asking every row takes 45 ms per 100,000, so only now.
    const standing = table.standing();
    const again = await registry.inspect(signal);
    if (again.kind !== 'usable' || again.messages >= standing) continue;
    return `the stream holds ${again.messages} messages where ${standing} keys stood`;
  }
  return undefined;
};

/** Ages of messages are taken by the server's clock, which may be set while a term lasts. */
const noteServerClock = ({ clock }: WriterContext, term: Term, offsetMs: number | undefined): void => {
  if (offsetMs === undefined) return;
  const epochMs = clock.wallMs() + offsetMs - clock.monotonicMs();
  if (Math.abs(epochMs - term.serverEpochMs) > CLOCK_SET_MS) term.serverEpochMs = epochMs;
};
