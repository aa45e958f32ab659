// Writes docs/configuration.md from the schema of the settings. With --check it writes nothing, and fails when the
// committed page is another.

import { z } from 'zod';
import { configSchema, flagOf, variableOf } from '../src/config.ts';
import { type GeneratedFile, writeOrCheck } from './generated-file.ts';

const outside = configSchema({}).shape;
const inside = configSchema({ KUBERNETES_SERVICE_HOST: '10.96.0.1' }).shape;

type Setting = z.ZodType;

const printed = (value: unknown): string => (Array.isArray(value) ? value.join(',') : String(value));

const defaultOf = (setting: Setting): string => {
  const { data } = setting.safeParse(undefined);
  return data === undefined ? '' : printed(data);
};

const defaultCell = (setting: Setting, inCluster: Setting): string => {
  const [here, there] = [defaultOf(setting), defaultOf(inCluster)];
  if (here === '') return '';
  return here === there ? `\`${here}\`` : `\`${there}\` in a cluster, else \`${here}\``;
};

/** `true` or `false`, the words or the range that the schema allows; empty where only the meaning says. */
const valuesCell = (setting: Setting): string => {
  const { enum: words, minimum, maximum, type } = z.toJSONSchema(setting, { io: 'output', unrepresentable: 'any' });
  if (words !== undefined) return words.map((word) => `\`${String(word)}\``).join(', ');
  if (type === 'boolean') return '`true`, `false`';
  if (type === 'integer') return `${minimum} to ${maximum}`;
  return '';
};

const escaped = (text: string): string => text.replaceAll('|', '\\|');

function rowOf(name: string, setting: Setting, inCluster: Setting): string {
  const { description } = setting;
  if (description === undefined) throw new Error(`setting ${name} has no description in src/config.ts`);
  const cells = [
    `\`--${flagOf(name)}\``,
    `\`${variableOf(name)}\``,
    defaultCell(setting, inCluster),
    valuesCell(setting),
    escaped(description),
  ];
  return `| ${cells.join(' | ')} |`;
}

const rows = Object.entries(outside).map(([name, setting]) => {
  const inCluster = new Map<string, Setting>(Object.entries(inside)).get(name) ?? setting;
  return rowOf(name, setting, inCluster);
});

const page: GeneratedFile = {
  path: 'docs/configuration.md',
  script: 'hack/generate-config-docs.ts',
  text: `# Configuration

Generated from \`src/config.ts\` by \`hack/generate-config-docs.ts\`. Do not edit.

Settings of \`rollcall operator\` come from flags, from variables and from a file, in that precedence. The file is named
by \`--config\` or \`ROLLCALL_CONFIG\`: YAML with the flags' names in lowerCamelCase, such as \`natsUrl: nats://nats:4222\`.
At the start every problem is printed at once, and the exit code is 2. Secrets belong in files, which are read again
at every connect.

In a cluster the settings stand as variables in the ConfigMap \`rollcall-config\` of namespace \`rollcall-system\`, and
the files in the Secret \`rollcall-nats\`, mounted at \`/etc/rollcall/nats\`. After a change of the ConfigMap:
\`kubectl -n rollcall-system rollout restart deployment/rollcall\`. A changed Secret needs no restart.

| flag | variable | default | values | meaning |
|---|---|---|---|---|
${rows.join('\n')}
`,
};

await writeOrCheck(page);
