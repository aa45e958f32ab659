// The closed list of reasons (test/conformance/reasons.json) as words that can be compared with what the code can say and
// with what it was seen to say: `Ready False Registering`, `Event Lapsed`.

import list from '../conformance/reasons.json' with { type: 'json' };

type ByType = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

/** `conditions`: reasons by type and status. */
export const wordsOf = (conditions: ByType, events: readonly string[]): ReadonlySet<string> =>
  new Set([
    ...Object.entries(conditions).flatMap(([type, byStatus]) =>
      Object.entries(byStatus).flatMap(([status, reasons]) => reasons.map((reason) => `${type} ${status} ${reason}`)),
    ),
    ...events.map((reason) => `Event ${reason}`),
  ]);

export const listedWords: ReadonlySet<string> = wordsOf(list.conditions, list.events);
/** Of features that are not built yet. */
export const laterWords: ReadonlySet<string> = new Set<string>(list.later.said);

/** What is wrong with having said exactly these, as sentences; empty when nothing is. */
export const judgeWords = (said: ReadonlySet<string>, later = laterWords): readonly string[] => [
  ...[...said].filter((word) => !listedWords.has(word)).map((word) => `"${word}" is said, and is not in the list`),
  ...[...said].filter((word) => later.has(word)).map((word) => `"${word}" is said, and is in the list for later`),
  ...[...listedWords]
    .filter((word) => !later.has(word) && !said.has(word))
    .map((word) => `"${word}" is in the list, and nothing said it`),
];
