// A case as a picture: time from left to right, and one under the other what was done, who led, how many keys there were,
// how many of them ACTIVE, how old the oldest refresh was; what broke an invariant is marked through all rows. Plain SVG.

import type { Fault, Sample, Term, Violation } from './evidence.ts';

export type Picture = {
  readonly title: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly faults: readonly Fault[];
  readonly violations: readonly Violation[];
  readonly samples: readonly Sample[];
  readonly terms: readonly Term[];
};

const WIDTH = 1_200;
const LEFT = 130;
const RIGHT = 20;
const TOP = 56;
const ROW = 84;
const GAP = 14;
const MARK_WIDTH = 24;
const TERM_COLOURS = ['#4c78a8', '#72b7b2', '#9d755d', '#b279a2'];

export const drawTimeline = (picture: Picture): string => {
  const { title, fromMs, toMs, faults, violations, samples, terms } = picture;
  const x = (atMs: number) => LEFT + ((clamp(atMs, fromMs, toMs) - fromMs) / (toMs - fromMs)) * (WIDTH - LEFT - RIGHT);
  const rowTop = (row: number) => TOP + row * (ROW + GAP);
  const height = rowTop(5) + 30;
  const parts = [
    text(LEFT, 26, title, 'font-size="16" font-weight="bold"'),
    ...axis(fromMs, toMs, x, rowTop(5)),
    ...boxes(
      'faults',
      rowTop(0),
      faults.map((fault) => ({ ...fault, label: fault.what, colour: '#e45756' })),
      x,
    ),
    ...boxes(
      'leader',
      rowTop(1),
      terms.map((term, index) => ({
        ...term,
        label: `${term.term}`,
        colour: TERM_COLOURS[index % TERM_COLOURS.length] ?? '',
      })),
      x,
    ),
    ...curve(
      'live keys',
      rowTop(2),
      samples,
      ({ liveKeys }) => liveKeys,
      x,
      (value) => `${value}`,
    ),
    ...curve(
      'ACTIVE',
      rowTop(3),
      samples,
      ({ active }) => active,
      x,
      (value) => `${value}`,
    ),
    ...curve(
      'oldest refresh',
      rowTop(4),
      samples,
      ({ oldestRefreshMs }) => oldestRefreshMs,
      x,
      (value) => `${(value / 1_000).toFixed(0)} s`,
    ),
    ...apart(violations, x).map(
      ({ atMs, invariant, sentence }) =>
        `<g><title>${escaped(`${invariant}: ${sentence}`)}</title>` +
        `<line x1="${num(x(atMs))}" x2="${num(x(atMs))}" y1="${TOP}" y2="${rowTop(5) - GAP}" stroke="#d62728" stroke-width="1.5"/>` +
        `${text(x(atMs) + 3, TOP - 6, invariant, 'font-size="10" fill="#d62728"')}</g>`,
    ),
  ];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif">`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
};

type X = (atMs: number) => number;

/** One of each kind at each place, so that marks can be told apart. */
const apart = (violations: readonly Violation[], x: X): readonly Violation[] => {
  const places = new Map<string, Violation>();
  for (const violation of violations) {
    const place = `${violation.invariant} ${Math.trunc(x(violation.atMs) / MARK_WIDTH)}`;
    if (!places.has(place)) places.set(place, violation);
  }
  return [...places.values()];
};

const axis = (fromMs: number, toMs: number, x: X, bottom: number): readonly string[] => {
  const seconds = (toMs - fromMs) / 1_000;
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300].find((one) => seconds / one <= 14) ?? 600;
  const marks: string[] = [];
  for (let second = 0; second <= seconds; second += step) {
    const at = num(x(fromMs + second * 1_000));
    marks.push(`<line x1="${at}" x2="${at}" y1="${TOP}" y2="${bottom - GAP}" stroke="#eee"/>`);
    marks.push(text(Number(at), bottom + 6, `${second} s`, 'font-size="11" text-anchor="middle" fill="#666"'));
  }
  return marks;
};

type Box = { readonly fromMs: number; readonly toMs: number; readonly label: string; readonly colour: string };

/** Each box with as much of its label as it has room for; the whole of it appears where the mouse is. */
const boxes = (name: string, top: number, items: readonly Box[], x: X): readonly string[] => [
  frame(name, top),
  ...items.map(({ fromMs, toMs, label, colour }, index) => {
    const [left, right] = [x(fromMs), x(toMs)];
    const width = Math.max(2, right - left);
    // Neighbours one under the other, so that labels do not cover each other.
    const y = top + 4 + (index % 4) * 19;
    const next = items[index + 4];
    const room = Math.trunc(((next === undefined ? WIDTH - RIGHT : x(next.fromMs)) - left) / 6.2);
    return (
      `<g><title>${escaped(label)}</title><rect x="${num(left)}" y="${y}" width="${num(width)}" height="16" fill="${colour}" fill-opacity="0.55"/>` +
      `${room < 3 ? '' : text(left + 3, y + 12, label.slice(0, room), 'font-size="11"')}</g>`
    );
  }),
];

const curve = (
  name: string,
  top: number,
  samples: readonly Sample[],
  read: (sample: Sample) => number,
  x: X,
  show: (value: number) => string,
): readonly string[] => {
  const highest = Math.max(1, ...samples.map(read));
  const y = (value: number) => top + ROW - (value / highest) * (ROW - 8);
  const points = samples.map((sample) => `${num(x(sample.atMs))},${num(y(read(sample)))}`).join(' ');
  return [
    frame(name, top),
    text(LEFT - 6, top + 12, show(highest), 'font-size="11" text-anchor="end" fill="#666"'),
    `<polyline points="${points}" fill="none" stroke="#4c78a8" stroke-width="1.5"/>`,
  ];
};

const frame = (name: string, top: number): string =>
  `<rect x="${LEFT}" y="${top}" width="${WIDTH - LEFT - RIGHT}" height="${ROW}" fill="none" stroke="#ccc"/>` +
  text(LEFT - 6, top + ROW / 2 + 4, name, 'font-size="13" text-anchor="end"');

const text = (x: number, y: number, words: string, attributes: string): string =>
  `<text x="${num(x)}" y="${num(y)}" ${attributes}>${escaped(words)}</text>`;

const num = (value: number): string => value.toFixed(1);

const clamp = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

const escaped = (words: string): string =>
  words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
