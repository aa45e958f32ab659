// A doubly linked list whose links live in its members: a member is in one list at most, and leaves it in O(1)
// without being searched for. The timing wheel's slots and the writer's lanes are such lists.

export interface Linked<T extends Linked<T>> {
  list: LinkedList<T> | undefined;
  previous: T | undefined;
  next: T | undefined;
}

export class LinkedList<T extends Linked<T>> {
  first: T | undefined = undefined;
  last: T | undefined = undefined;
  size = 0;

  /** Appends `member`, taking it out of the list it was in. */
  push(member: T): void {
    member.list?.remove(member);
    member.list = this;
    member.previous = this.last;
    if (this.last === undefined) this.first = member;
    else this.last.next = member;
    this.last = member;
    this.size += 1;
  }

  /** Puts `member` in front, taking it out of the list it was in. */
  unshift(member: T): void {
    member.list?.remove(member);
    member.list = this;
    member.next = this.first;
    member.previous = undefined;
    if (this.first === undefined) this.last = member;
    else this.first.previous = member;
    this.first = member;
    this.size += 1;
  }

  remove(member: T): void {
    if (member.list !== this) return;
    if (member.previous === undefined) this.first = member.next;
    else member.previous.next = member.next;
    if (member.next === undefined) this.last = member.previous;
    else member.next.previous = member.previous;
    member.list = undefined;
    member.previous = undefined;
    member.next = undefined;
    this.size -= 1;
  }

  shift(): T | undefined {
    const member = this.first;
    if (member !== undefined) this.remove(member);
    return member;
  }
}
