// Times as text: ISO 8601 with milliseconds and an explicit offset for readers of the registry, RFC 3339 seconds for
// Kubernetes. Plain arithmetic instead of Date or Intl: one is printed for every refresh, 15,000 a second.

/** A fixed offset from UTC. `text` is what is printed: `Z`, `+08:00`. */
export type Offset = { readonly minutes: number; readonly text: string };

export const UTC: Offset = { minutes: 0, text: 'Z' };

/** `Z`, or a sign, two digits of hours up to 14 and two of minutes: `+08:00`. Undefined for anything else. */
export const parseOffset = (text: string): Offset | undefined => {
  if (text === 'Z') return UTC;
  const match = /^([+-])(0\d|1[0-4]):([0-5]\d)$/.exec(text);
  if (match === null) return undefined;
  const minutes = Number(match[2]) * 60 + Number(match[3]);
  if (minutes > 14 * 60) return undefined;
  return { minutes: match[1] === '-' ? 0 - minutes : minutes, text };
};

// Years 0 to 9999: what four digits can say. Only a broken clock gets near either.
const WALL_MS_MIN = -62_135_596_800_000;
const WALL_MS_MAX = 253_402_214_400_000;

/** `2026-11-23T17:00:10.123+08:00`: 29 characters, 24 with `Z`. */
export const formatTimestamp = (wallMs: number, offset: Offset): string => {
  const localMs = clampWall(wallMs) + offset.minutes * 60_000;
  const ms = modulo(localMs, 1000);
  return `${secondsText(localMs)}.${ms < 10 ? '00' : ms < 100 ? '0' : ''}${ms}${offset.text}`;
};

/** `2026-11-23T09:00:10Z`: a metav1.Time. */
export const formatSeconds = (wallMs: number): string => `${secondsText(clampWall(wallMs))}Z`;

const clampWall = (wallMs: number): number =>
  Number.isNaN(wallMs) ? 0 : Math.min(Math.max(Math.floor(wallMs), WALL_MS_MIN), WALL_MS_MAX);

const modulo = (dividend: number, divisor: number): number => ((dividend % divisor) + divisor) % divisor;

const secondsText = (localMs: number): string => {
  const seconds = Math.floor(localMs / 1000);
  const days = Math.floor(seconds / 86_400);
  const ofDay = seconds - days * 86_400;
  const hour = Math.floor(ofDay / 3600);
  const minute = Math.floor((ofDay - hour * 3600) / 60);
  return `${dateText(days)}T${two(hour)}:${two(minute)}:${two(ofDay - hour * 3600 - minute * 60)}`;
};

// Days since 1970 to a civil date: years counted from March in eras of 400 years, so that the leap day comes last.
const dateText = (days: number): string => {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
};

const two = (value: number): string => (value < 10 ? `0${value}` : String(value));
