// A value as the registry's contract has it, for tests that judge from outside: exactly these fields, no more. Shares
// nothing with `src/`, so that a mistake there is not made here as well.

import { z } from 'zod';

export const contractValueSchema = z.strictObject({
  serviceName: z.string(),
  instanceId: z.string(),
  version: z.string(),
  status: z.enum(['ACTIVE', 'UNHEALTHY', 'STANDBY']),
  lastHeartbeat: z.string(),
  stickyActiveGroup: z.string().nullable(),
  metadata: z.record(z.string(), z.union([z.string(), z.number()])),
});

export type ContractValue = z.infer<typeof contractValueSchema>;
