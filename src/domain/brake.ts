// The brake: how much may be missing at once before it is believed. An API server that lost its memory, or a view that
// is wrong, must not empty the registry; pods that are deleted one by one, however many, are no concern of this.

const ABSENT_MAX = 20;
const ABSENT_SHARE_MAX = 0.2;

/** What is missing is held for so long; then another look decides. */
export const CONFIRM_AFTER_MS = 60_000;
/** What that look confirms goes spread over this, in an order of its own: a registry is not emptied at a stroke. */
export const RELEASE_SPREAD_MS = 20_000;

/** How much would go, and how much there is: keys, where it is known which hang on what is missing. */
export type Stake = { readonly going: number; readonly all: number };

/** Whether `absent` of `all` are so many that they are held. */
export const brakeHolds = (absent: number, all: number): boolean =>
  absent > Math.max(ABSENT_MAX, all * ABSENT_SHARE_MAX);
