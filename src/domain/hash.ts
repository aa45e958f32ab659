// A stable 64-bit hash of a text, as hex digits: for names that must come out alike on every replica and every version.
// Not cryptographic, and written out here so that the domain needs nothing of Node: two 32-bit FNV-1a lanes, each
// ended by murmur3's finaliser.

/** The first `digits` (1 to 16) hex digits of the hash of `text`. Never change it: instance ids are made of it. */
export const hashHex = (text: string, digits: number): string => {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    low = Math.imul(low ^ unit, 0x01000193);
    // Another multiplier and the position: equal low lanes must not mean equal high lanes.
    high = Math.imul(high ^ (unit + i), 0x85ebca6b);
  }
  return `${hex32(mix(low))}${hex32(mix(high ^ text.length))}`.slice(0, digits);
};

const mix = (word: number): number => {
  let mixed = word ^ (word >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
};

const hex32 = (word: number): string => (word >>> 0).toString(16).padStart(8, '0');
