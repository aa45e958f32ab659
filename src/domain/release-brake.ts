// The annotation `release-brake` of a resource: a person knows that what a brake keeps for it is gone. What was held
// before the time that it names is let go. Which brakes there are, and what they hold, is not known here.

import { type AnnotationProblem, problem, RELEASE_ANNOTATION } from './annotations.ts';
import type { RegistrationView } from './service-registration.ts';

const RFC_3339 = /^(\d{4}-\d{2}-(\d{2}))[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/** ms since the epoch; undefined for what is no RFC 3339 time. */
const parseRelease = (text: string): number | undefined => {
  const [, date, day] = RFC_3339.exec(text) ?? [];
  const ms = date === undefined ? Number.NaN : Date.parse(text.toUpperCase());
  // Else the 30th of February would be the 2nd of March.
  const isDay =
    !Number.isNaN(Date.parse(`${date}T00:00:00Z`)) && new Date(`${date}T00:00:00Z`).getUTCDate() === Number(day);
  return Number.isNaN(ms) || !isDay ? undefined : ms;
};

/** Whether the resource lets go what has been held since then, in ms since the epoch. */
export const releases = ({ releaseBrake }: Pick<RegistrationView, 'releaseBrake'>, heldSinceWallMs: number): boolean =>
  releaseBrake !== undefined && heldSinceWallMs < (parseRelease(releaseBrake) ?? Number.NEGATIVE_INFINITY);

export const releaseProblem = ({
  releaseBrake,
}: Pick<RegistrationView, 'releaseBrake'>): readonly AnnotationProblem[] => {
  if (releaseBrake === undefined || parseRelease(releaseBrake) !== undefined) return [];
  const message = 'must be a time such as 2026-11-23T09:00:00Z, before which what is held is let go';
  return [problem({ [RELEASE_ANNOTATION]: releaseBrake }, RELEASE_ANNOTATION, message)];
};
