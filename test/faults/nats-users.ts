// A NATS server whose users have exactly the rights of examples/nats-users.conf, which can be taken away one by one while it
// runs. Whoever gives no name, as the observer, may do everything.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NatsServer } from '../../hack/control-plane/nats.ts';
import { runRollcall } from '../support/operator-process.ts';

const example = join(import.meta.dirname, '../../examples/nats-users.conf');
const SETUP_WORD = 'setup-word';
/** As the example has it. */
const OPERATOR_ID = 'cluster-a';
/** The first user's, who is the operator. */
const SUBSCRIBE = /subscribe: \{ allow: \[([^\]]*)\] \}/;
const isInbox = (right: string) => right.startsWith('_INBOX');

export class NatsUsers {
  readonly configFile: string;
  /** The rights that the operator has, to publish and to subscribe, as written. */
  readonly rights: readonly string[];
  readonly #dir: string;
  readonly #text: string;
  #server: NatsServer | undefined;
  #word = 'operator-word-1';

  private constructor(dir: string, text: string) {
    this.#dir = dir;
    this.#text = text;
    this.configFile = join(dir, 'nats-users.conf');
    const [, toPublish = ''] = /ROLLCALL_PUBLISH: \[([^\]]*)\]/.exec(text) ?? [];
    const [, toSubscribe = ''] = SUBSCRIBE.exec(text) ?? [];
    this.rights = [...`${toPublish} ${toSubscribe}`.matchAll(/"([^"]+)"/g)].flatMap(([, right]) => right ?? []);
  }

  static async write(dir: string): Promise<NatsUsers> {
    const users = new NatsUsers(dir, await readFile(example, 'utf8'));
    await users.#writeConfig(users.rights);
    await users.tellPassword();
    await writeFile(join(dir, 'setup-password'), SETUP_WORD);
    return users;
  }

  get operatorFlags(): readonly string[] {
    const credentials = ['--nats-user=rollcall', `--nats-password-file=${this.#passwordFile}`];
    return [`--operator-id=${OPERATOR_ID}`, '--bucket-policy=Verify', ...credentials];
  }

  /** Makes the bucket as an installation does that gives its operator no right to. */
  async begin(server: NatsServer, bucket: string): Promise<void> {
    this.#server = server;
    const credentials = ['--nats-user=rollcall-setup', `--nats-password-file=${join(this.#dir, 'setup-password')}`];
    const args = ['bucket', 'ensure', `--bucket=${bucket}`, `--nats-url=${server.url}`, ...credentials];
    const { code, stdout, stderr } = await runRollcall(args);
    if (code !== 0) throw new Error(`the bucket could not be made: ${stdout}${stderr}`);
  }

  async takeAway(right: string): Promise<void> {
    await this.#writeConfig(this.rights.filter((one) => one !== right));
    await this.#reload();
  }

  /** All rights, and the present password. */
  async restore(): Promise<void> {
    await this.#writeConfig(this.rights);
    await this.#reload();
  }

  /** The server takes another password from now on. Nobody is told. */
  async rotatePassword(): Promise<void> {
    this.#word = `${this.#word}-and-more`;
    await this.restore();
  }

  /** Writes the present password where the operators read it. */
  tellPassword(): Promise<void> {
    return writeFile(this.#passwordFile, `${this.#word}\n`);
  }

  get #passwordFile(): string {
    return join(this.#dir, 'operator-password');
  }

  async #writeConfig(rights: readonly string[]): Promise<void> {
    const passwords = `ROLLCALL_NATS_PASSWORD: "${this.#word}"\nROLLCALL_NATS_SETUP_PASSWORD: "${SETUP_WORD}"\n`;
    const toPublish = rights.filter((right) => !isInbox(right)).map((right) => `  "${right}"\n`);
    const toSubscribe = rights.filter(isInbox).map((right) => `"${right}"`);
    const subscribe = toSubscribe.length === 0 ? 'deny: [">"]' : `allow: [${toSubscribe.join(', ')}]`;
    const users = this.#text
      .replace(/ROLLCALL_PUBLISH: \[[^\]]*\]/, () => `ROLLCALL_PUBLISH: [\n${toPublish.join('')}]`)
      .replace(SUBSCRIBE, `subscribe: { ${subscribe} }`)
      .replace('users: [', 'users: [\n    { user: everybody, password: "unused" }');
    // The name as the flag says it: a reload does not see the flag.
    const everybody = `server_name: nats\nno_auth_user: everybody\n`;
    await writeFile(this.configFile, `${passwords}${everybody}${users}`);
  }

  async #reload(): Promise<void> {
    const server = this.#server;
    if (server === undefined) throw new Error('the server has not begun');
    const before = server.process.log().length;
    await server.process.kill('SIGHUP');
    for (let looks = 0; !server.process.log().slice(before).includes('Reloaded server configuration'); looks += 1) {
      if (looks > 100) throw new Error(`the server did not take its new configuration: ${server.process.logTail(3)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
