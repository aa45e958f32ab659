/** Plain text and colours for a terminal: cutting, durations, and one line of the chronicle. Draws nothing itself. */
import { styleText } from 'node:util';
import type { Content, Finding, Step } from './chronicle.ts';

/** A text made safe to print (no control characters), cut to a width with an ellipsis. */
export function cut(text: string, width: number): string {
  const safe = text.replace(/\p{Cc}/gu, '?');
  return safe.length <= width ? safe : `${safe.slice(0, Math.max(0, width - 1))}…`;
}

/** `0.04 s`, `12.3 s`, `31 s`. */
export function seconds(ms: number): string {
  const value = ms / 1_000;
  if (value < 1) return `${value.toFixed(2)} s`;
  return Number.isInteger(value) ? `${value} s` : `${value.toFixed(1)} s`;
}

/** A piece of a line: its text, and how it is coloured. */
export type Piece = readonly [text: string, style?: Parameters<typeof styleText>[0] | undefined];

/** Colours the pieces, cutting what goes beyond the width. */
export function paint(pieces: readonly Piece[], width = Number.POSITIVE_INFINITY): string {
  let left = width;
  let painted = '';
  for (const [text, style] of pieces) {
    if (left <= 0) break;
    const shown = cut(text, left);
    left -= shown.length;
    painted += style === undefined ? shown : styleText(style, shown);
  }
  return painted;
}

const indent = '    ';
const SHORT = 20;
const NARROW = 20;

/** As many lines as it takes: what a user may want to type is never cut. */
export function wrap(pieces: readonly Piece[], width: number): readonly string[] {
  if (width < NARROW) return [paint(pieces, width)];
  const lines: string[] = [];
  let line: Piece[] = [];
  let left = width;
  for (const [text, style] of pieces) {
    let rest = text;
    while (rest.length > left) {
      const space = rest.lastIndexOf(' ', left);
      const begun = left < width - indent.length;
      // At a space; what has none, and what is short, goes to the next line as it is, and what fits no line is broken.
      const at = begun && (space <= 0 || rest.length < SHORT) ? 0 : space > 0 ? space : left;
      lines.push(paint([...line, [rest.slice(0, at), style]]));
      rest = rest.slice(at).trimStart();
      line = [[indent]];
      left = width - indent.length;
    }
    line.push([rest, style]);
    left -= rest.length;
  }
  return [...lines, paint(line)];
}

export const stepTitle = ({ number, title }: Step): Piece => [number === 0 ? title : `${number}. ${title}`, 'bold'];

export function lineOf(line: Content): readonly Piece[] {
  switch (line.kind) {
    case 'command':
      return [
        ['$ ', 'dim'],
        [line.text, 'cyan'],
      ];
    case 'look':
      return [[`  look: ${line.text}`, 'dim']];
    case 'note':
      return [[`  ${line.text}`, 'dim']];
    case 'problem':
      return [[`  ${line.text}`, 'red']];
    case 'finding':
      return findingOf(line.finding);
  }
}

function findingOf({ what, tookMs, limitMs, ok }: Finding): readonly Piece[] {
  const limit = limitMs === undefined ? '' : ` (limit ${seconds(limitMs)})`;
  return [
    ok ? ['  ok      ', 'green'] : ['  FAILED  ', ['red', 'bold']],
    [tookMs === undefined ? '         ' : seconds(tookMs).padStart(7).padEnd(9)],
    [what],
    [limit, 'dim'],
  ];
}
