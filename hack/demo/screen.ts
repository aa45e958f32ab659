/**
 * The demo in a terminal: one frame, redrawn in place five times a second.
 */
import type { WriteStream } from 'node:tty';
import { Frame } from '../../src/cli/frame.ts';
import { type TableLine, tableLines } from '../../src/cli/registry-table.ts';
import { type Piece, paint, seconds } from '../../src/cli/text.ts';
import type { Chronicle } from './chronicle.ts';
import type { Entry } from './registry-watch.ts';
import type { Replica } from './replicas.ts';
import { lineOf, stepTitle, wrap } from './text.ts';

type Scene = {
  readonly chronicle: Chronicle;
  readonly replicas: () => readonly Replica[];
  readonly entries: () => readonly Entry[];
  /** What to type in another terminal. */
  readonly hints: () => readonly string[];
  readonly footer: () => string;
};

const FRAME_MS = 200;
/** So many lines of the story are always shown, however long the table is. */
const STORY_LINES_MIN = 6;

export class Screen {
  readonly #frame: Frame;
  readonly #timer: NodeJS.Timeout;

  constructor(terminal: WriteStream, scene: Scene) {
    this.#frame = new Frame(terminal, (width, rows) => frameOf(scene, width, rows));
    this.#timer = setInterval(() => this.#frame.draw(), FRAME_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#frame.close();
  }
}

/** At most `rows` lines, none wider than `width`. */
function frameOf(scene: Scene, width: number, rows: number): readonly string[] {
  const header = headerLines(scene, width);
  const footer = paint([[` ${scene.footer()}`, 'inverse']], width);
  const story = storyLines(scene.chronicle, width);
  const room = rows - header.length - 3;
  const tableRoom = Math.max(3, room - Math.min(STORY_LINES_MIN, story.length));
  const clocks = { monotonicMs: performance.now(), wallMs: Date.now() };
  const entries = scene.entries();
  const bucket =
    entries.length === 0
      ? [emptyLine(width)]
      : tableLines(
          entries.map((entry) => lineOfEntry(entry, clocks)),
          width,
        );
  const table = bucket.length <= tableRoom ? bucket : [...bucket.slice(0, tableRoom - 1), moreLine(bucket, tableRoom)];
  const storyRoom = Math.max(0, room - table.length);
  const lines = [...header, '', ...table, '', ...(storyRoom === 0 ? [] : story.slice(-storyRoom))];
  while (lines.length < rows - 1) lines.push('');
  return [...lines.slice(0, rows - 1), footer];
}

function lineOfEntry(entry: Entry, clocks: { readonly monotonicMs: number; readonly wallMs: number }): TableLine {
  const { serviceName, instanceId, status, version, ttlMs, writtenAtMs, heartbeatWallMs, goneAtMs, reason } = entry;
  return {
    serviceName,
    instanceId,
    status,
    version,
    heartbeatAgeMs: clocks.wallMs - heartbeatWallMs,
    ttlMs,
    leftMs: writtenAtMs + ttlMs - clocks.monotonicMs,
    owner: `${entry.podNamespace}/${entry.podName}`,
    lastWrite: reason,
    gone: goneAtMs === undefined ? undefined : 'lapsed',
  };
}

const emptyLine = (width: number) => paint([['(no key of ours in the bucket)', 'dim']], width);

const moreLine = (bucket: readonly string[], shown: number) =>
  paint([[`  … and ${bucket.length - shown + 1} lines more; make the terminal higher`, 'dim']]);

function headerLines({ replicas, hints }: Scene, width: number): readonly string[] {
  const roles = replicas().flatMap(({ name, role, process }): Piece[] => [
    ['   '],
    [`${name} ${role}`, role === 'leads' ? ['green', 'bold'] : role === 'down' ? 'red' : 'dim'],
    [process.running ? ` (pid ${process.pid})` : '', 'dim'],
  ]);
  const title: Piece = ['Rollcall', 'bold'];
  return [paint([title, ...roles], width), ...hints().flatMap((hint) => wrap([[hint, 'dim']], width))];
}

/** Steps that are over shrink to what was run and what was seen. */
function storyLines({ steps, waiting }: Chronicle, width: number): readonly string[] {
  const told = steps.flatMap((step, i) => {
    const over = i < steps.length - 1;
    const lines = over ? step.lines.filter(({ kind }) => kind === 'command' || kind === 'finding') : step.lines;
    return [paint([stepTitle(step)], width), ...lines.flatMap((line) => wrap(lineOf(line), width))];
  });
  if (waiting === undefined) return told;
  const { what, sinceMs, limitMs } = waiting;
  const limit = limitMs === undefined ? '' : ` (limit ${seconds(limitMs)})`;
  const sofar = seconds(Math.floor((performance.now() - sinceMs) / 100) * 100);
  return [...told, paint([['  ...     ', 'yellow'], [sofar.padStart(7).padEnd(9)], [what], [limit, 'dim']], width)];
}
