// Long work on many things, cut so that nothing else has to wait for the whole of it: the event loop turns between two
// slices, and what must not be late (the lock's renewal) gets its turn. What the work is, is its owner's.

/** So many things at a stretch take some 10 ms, for the dearest thing, a key that becomes a row, costs 60 us. */
export const SLICE = 200;

/** Lets others run; rejects when the work is to end here. */
export type Pause = () => Promise<void>;

/** Calls `each` with every item in turn. What is added to a map that is gone through meanwhile comes as well, last. */
export const inSlices = async <T>(items: Iterable<T>, pause: Pause, each: (item: T) => void): Promise<void> => {
  let count = 0;
  for (const item of items) {
    each(item);
    count += 1;
    if (count % SLICE === 0) await pause();
  }
};
