// A change of one place in the sources, found by its text, so that it cannot be made anywhere else or after the place is gone.

export type Edit = {
  /** Below the repository. */
  readonly file: string;
  /** Occurs exactly once. */
  readonly find: string;
  readonly replace: string;
};

/** @throws Error when the place is not there, or there twice */
export const applyEdit = (text: string, { file, find, replace }: Edit): string => {
  const [before, after, ...more] = text.split(find);
  if (before === undefined || after === undefined) throw new Error(`${file} has no longer: ${find}`);
  if (more.length > 0) throw new Error(`${file} has more than once: ${find}`);
  return `${before}${replace}${after}`;
};
