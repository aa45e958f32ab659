// The order of resource versions: decimal numbers of etcd revisions, comparable within one resource since Kubernetes
// 1.35 by promise and long before in fact. Kept as text, since nothing promises that they fit a double.

/** Negative, 0 or positive as `a` is older, the same or newer; undefined when one of them is no decimal number. */
export function compareResourceVersions(a: string, b: string): number | undefined {
  if (!DECIMAL.test(a) || !DECIMAL.test(b)) return undefined;
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** True when `a` is known to be at least as new as `b`. */
export function reaches(a: string, b: string): boolean {
  const order = compareResourceVersions(a, b);
  return order === undefined ? a === b : order >= 0;
}

const DECIMAL = /^(0|[1-9][0-9]{0,63})$/;
