// Kubernetes' MicroTime: RFC 3339 in UTC with exactly six fractional digits; the API server refuses three.

/** `wallMs`: ms since the epoch. */
export const microTime = (wallMs: number): string => new Date(wallMs).toISOString().replace('Z', '000Z');
