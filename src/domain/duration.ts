// Durations in annotations: whole seconds, bare or as a Go duration of hours, minutes and seconds. Nothing finer than
// a second, because the registry's TTLs are whole seconds; nothing that Go would refuse.

export type ParsedDuration =
  | { readonly kind: 'seconds'; readonly seconds: number }
  /** A sentence without a full stop that says what would be right. */
  | { readonly kind: 'problem'; readonly message: string };

const PLAIN = /^(0|[1-9]\d{0,9})$/;
const GO = /^(?:(0|[1-9]\d{0,9})h)?(?:(0|[1-9]\d{0,9})m)?(?:(0|[1-9]\d{0,9})s)?$/;

export const parseDuration = (text: string, minSeconds: number, maxSeconds: number): ParsedDuration => {
  const seconds = secondsOf(text);
  if (seconds === undefined || seconds < minSeconds || seconds > maxSeconds) {
    return {
      kind: 'problem',
      message: `must be whole seconds from ${minSeconds} to ${maxSeconds}, such as 30, 30s or 1m30s`,
    };
  }
  return { kind: 'seconds', seconds };
};

const secondsOf = (text: string): number | undefined => {
  if (PLAIN.test(text)) return Number(text);
  const match = GO.exec(text);
  if (match === null) return undefined;
  const [, hours, minutes, seconds] = match;
  return Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 + Number(seconds ?? 0);
};
