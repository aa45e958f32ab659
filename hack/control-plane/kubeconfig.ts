/** Writes kubeconfig files with a bearer token; the CA stands inside, so that the file can be copied elsewhere. */
import { readFile, writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';

export type KubeconfigSpec = {
  readonly path: string;
  readonly url: string;
  readonly caFile: string;
  readonly user: string;
  readonly token: string;
};

export async function writeKubeconfig({ path, url, caFile, user, token }: KubeconfigSpec): Promise<string> {
  const ca = (await readFile(caFile)).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'rollcall', cluster: { server: url, 'certificate-authority-data': ca } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: user, context: { cluster: 'rollcall', user } }],
    'current-context': user,
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
  return path;
}
