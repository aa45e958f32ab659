// One clock for all processes of a campaign: the machine's monotonic clock, whose zero is the same in each of them. So a
// fault that one process records and a message that another one sees can be compared, whatever the wall clock does.

export const nowMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000;

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
