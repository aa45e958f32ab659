/** Where the server binaries are; builds what is missing (hack/tools/build.sh), which takes minutes the first time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const buildScript = fileURLToPath(new URL('../tools/build.sh', import.meta.url));

/** The folder with etcd, kube-apiserver, kubectl, kwok, nats-server, nats-server-old and so on. Progress on stderr. */
export async function toolsDir({ kubelet = false, signal }: ToolsOptions = {}): Promise<string> {
  const build = spawn(buildScript, kubelet ? ['--with-kubelet'] : [], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(signal ? { signal } : {}),
  });
  let output = '';
  build.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [code]: unknown[] = await once(build, 'close');
  const dir = output.trim().split('\n').at(-1);
  if (code !== 0 || dir === undefined || dir === '') {
    throw new Error('the test servers could not be built (hack/tools/build.sh says why above)');
  }
  return dir;
}

export type ToolsOptions = { readonly kubelet?: boolean; readonly signal?: AbortSignal | undefined };
