/**
 * The demo in a terminal: one frame, redrawn in place five times a second on the terminal's second screen, so that what
 * stood there before comes back. Only lines that changed are written, hence no flicker.
 */
import type { WriteStream } from 'node:tty';
import type { Chronicle } from './chronicle.ts';
import type { Entry } from './registry-watch.ts';
import type { Replica } from './replicas.ts';
import { tableLines } from './table.ts';
import { lineOf, type Piece, paint, seconds, stepTitle, wrap } from './text.ts';

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

const escape = {
  /** The second screen, no cursor, and no wrapping of what is too wide after all. */
  enter: '\x1b[?1049h\x1b[?25l\x1b[?7l',
  leave: '\x1b[?7h\x1b[?25h\x1b[?1049l',
  /** Terminals that know it show the frame in one go; the others ignore it. */
  beginFrame: '\x1b[?2026h',
  endFrame: '\x1b[?2026l',
  clear: '\x1b[2J',
  line: (row: number) => `\x1b[${row + 1};1H\x1b[K`,
};

export class Screen {
  readonly #terminal: WriteStream;
  readonly #scene: Scene;
  readonly #timer: NodeJS.Timeout;
  readonly #redraw = () => {
    this.#shown = [];
    this.#terminal.write(escape.clear);
    this.#draw();
  };
  readonly #leave = () => void this.#terminal.write(escape.leave);
  #shown: readonly string[] = [];

  constructor(terminal: WriteStream, scene: Scene) {
    this.#terminal = terminal;
    this.#scene = scene;
    terminal.write(escape.enter);
    // However this process ends, the terminal must be usable after it.
    process.once('exit', this.#leave);
    terminal.on('resize', this.#redraw);
    this.#redraw();
    this.#timer = setInterval(() => this.#draw(), FRAME_MS);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#terminal.off('resize', this.#redraw);
    process.off('exit', this.#leave);
    this.#leave();
  }

  #draw(): void {
    const lines = frame(this.#scene, (this.#terminal.columns || 80) - 1, this.#terminal.rows || 24);
    const changed = lines.flatMap((line, row) => (line === this.#shown[row] ? [] : [escape.line(row) + line]));
    for (let row = lines.length; row < this.#shown.length; row += 1) changed.push(escape.line(row));
    this.#shown = lines;
    if (changed.length > 0) this.#terminal.write(escape.beginFrame + changed.join('') + escape.endFrame);
  }
}

/** At most `rows` lines, none wider than `width`. */
function frame(scene: Scene, width: number, rows: number): readonly string[] {
  const header = headerLines(scene, width);
  const footer = paint([[` ${scene.footer()}`, 'inverse']], width);
  const story = storyLines(scene.chronicle, width);
  const room = rows - header.length - 3;
  const tableRoom = Math.max(3, room - Math.min(STORY_LINES_MIN, story.length));
  const clocks = { monotonicMs: performance.now(), wallMs: Date.now() };
  const entries = scene.entries();
  const bucket = entries.length === 0 ? [emptyLine(width)] : tableLines(entries, clocks, width);
  const table = bucket.length <= tableRoom ? bucket : [...bucket.slice(0, tableRoom - 1), moreLine(bucket, tableRoom)];
  const storyRoom = Math.max(0, room - table.length);
  const lines = [...header, '', ...table, '', ...(storyRoom === 0 ? [] : story.slice(-storyRoom))];
  while (lines.length < rows - 1) lines.push('');
  return [...lines.slice(0, rows - 1), footer];
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
