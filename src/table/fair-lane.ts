// A line of rows in which namespaces take turns, each in the order in which its rows came: one with ten thousand rows
// waiting holds up another's by one row at a time. What a row waits for is not known here.

import { LinkedList } from './linked-list.ts';
import type { Row } from './row.ts';

export class FairLane {
  /** Whose turn is next first. A row may leave its line without a word, so that a line may be empty. */
  readonly #lines = new Map<string, LinkedList<Row>>();

  get size(): number {
    let size = 0;
    for (const line of this.#lines.values()) size += line.size;
    return size;
  }

  has(row: Row): boolean {
    return row.list !== undefined && this.#lines.get(row.wish.pod.namespace) === row.list;
  }

  push(row: Row): void {
    const { namespace } = row.wish.pod;
    const line = this.#lines.get(namespace) ?? new LinkedList<Row>();
    this.#lines.set(namespace, line);
    line.push(row);
  }

  /** The first of the namespace whose turn it is; its next turn comes after all others'. */
  shift(): Row | undefined {
    for (const [namespace, line] of this.#lines) {
      this.#lines.delete(namespace);
      const row = line.shift();
      if (line.size > 0) this.#lines.set(namespace, line);
      if (row !== undefined) return row;
    }
    return undefined;
  }
}
