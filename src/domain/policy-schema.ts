// The ServiceNamePolicy resource as people write it: one zod schema, of which `hack/generate.ts` makes the CRD and the
// reference page. What it means for a namespace is decided in `name-claims.ts`.

import { z } from 'zod';
import { labelSelector, rules } from './schema-parts.ts';

const NAMES_MAX = 64;
const NAME_LENGTH_MAX = 64;

/** A service name, or the beginning of one and `*`. */
const NAME_PATTERN = '^([a-z][a-z0-9-]{1,62}[a-z0-9]|([a-z][a-z0-9-]{0,62})?\\*)$';

const name = z.string().min(1).max(NAME_LENGTH_MAX).regex(new RegExp(NAME_PATTERN)).meta({ minLength: 1 });

const policySpecSchema = z
  .object({
    names: z
      .array(name)
      .min(1)
      .max(NAMES_MAX)
      .meta({
        'x-kubernetes-list-type': 'set',
        ...rules({
          rule: "self.all(name, !name.contains('--'))",
          message: 'no service name contains "--": a policy for one would grant nothing',
        }),
        description:
          'The service names that this policy grants: whole names, or the beginning of names and a *, as payments-*.',
      }),
    namespaces: labelSelector('The namespaces that may use these names, by their labels. {} selects all of them.'),
  })
  .meta({ description: 'Which names, for which namespaces.' });

export const policyResourceSchema = z.object({ spec: policySpecSchema }).meta({
  description:
    'Grants service names to namespaces. A name that any policy matches may be registered only by the namespaces that a matching policy selects.',
});
