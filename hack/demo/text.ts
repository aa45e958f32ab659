/** Plain text and colours for a terminal: one line of the chronicle, and wrapping. Draws nothing itself. */
import { type Piece, paint, seconds } from '../../src/cli/text.ts';
import type { Content, Finding, Step } from './chronicle.ts';

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
