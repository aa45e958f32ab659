import { describe, expect, test } from 'vitest';
import {
  activeRoleOf,
  electActive,
  groupKey,
  type Member,
  withoutStickyTerm,
  withStickyTerm,
} from '../../../src/domain/sticky.ts';
import { NINE } from '../../support/builders.ts';

/** A Ready pod that holds no role and may be given one. */
const aMember = (uid: string, member: Partial<Member> = {}): Member => ({
  uid,
  term: 0,
  fit: true,
  promotable: true,
  readySinceMs: NINE,
  ...member,
});

describe('who is to be ACTIVE', () => {
  test.each<[string, readonly Member[], string | undefined, string | undefined]>([
    ['nobody in an empty group', [], undefined, undefined],
    ['the only one', [aMember('a')], undefined, 'a'],
    ['the longest-ready', [aMember('a', { readySinceMs: NINE + 1 }), aMember('b')], undefined, 'b'],
    ['of two as long the smaller UID', [aMember('b'), aMember('a')], undefined, 'a'],
    ['the holder, though another is longer ready', [aMember('a'), aMember('b', { term: 7 })], undefined, 'b'],
    ['the holder, though another was given it last', [aMember('a'), aMember('b', { term: 7 })], 'a', 'b'],
    ['of two holders the later', [aMember('a', { term: 7 }), aMember('b', { term: 8 })], undefined, 'b'],
    ['a holder that may not be given a role keeps it', [aMember('a', { term: 7, promotable: false })], undefined, 'a'],
    ['another, when the holder is not fit', [aMember('a', { term: 7, fit: false }), aMember('b')], 'a', 'b'],
    ['the last one, when its key was lost', [aMember('a'), aMember('b', { readySinceMs: NINE + 1 })], 'b', 'b'],
    ['nobody, when none is fit', [aMember('a', { fit: false })], 'a', undefined],
    ['nobody, when none may be given it', [aMember('a', { promotable: false })], 'a', undefined],
  ])('%s', (_, members, last, active) => {
    expect(electActive(members, last)).toBe(active);
    expect(electActive(members.toReversed(), last)).toBe(active);
  });
});

describe('the term in the metadata', () => {
  test('stands after the reserved keys and before the users', () => {
    const metadata = { start_time: 't', pod: 'p', team: 'rates' };
    expect(JSON.stringify(withStickyTerm(metadata, 7))).toBe(
      '{"start_time":"t","pod":"p","stickyTerm":7,"team":"rates"}',
    );
    expect(withStickyTerm(withStickyTerm(metadata, 7), 8)).toEqual({ ...metadata, stickyTerm: 8 });
    expect(withoutStickyTerm(withStickyTerm(metadata, 7))).toEqual(metadata);
    expect(Object.keys(withStickyTerm({ pod: 'p' }, 7))).toEqual(['pod', 'stickyTerm']);
  });
});

describe('the role that a stored value has', () => {
  const value = (status: 'ACTIVE' | 'STANDBY', group: string | null, stickyTerm: string | number) => ({
    status,
    content: { serviceName: 'web', version: '1.0.0', stickyActiveGroup: group, metadata: { stickyTerm } },
  });
  test.each([
    ['ACTIVE of a group', value('ACTIVE', 'blue', 7), { group: groupKey('web', 'blue'), uid: 'u', term: 7 }],
    ['a term that is no number', value('ACTIVE', 'blue', '7'), { group: groupKey('web', 'blue'), uid: 'u', term: 0 }],
    ['a term below one', value('ACTIVE', 'blue', -1), { group: groupKey('web', 'blue'), uid: 'u', term: 0 }],
    ['STANDBY', value('STANDBY', 'blue', 7), undefined],
    ['ACTIVE without a group', value('ACTIVE', null, 7), undefined],
  ])('%s', (_, stored, role) => {
    expect(activeRoleOf(stored, 'u')).toEqual(role);
  });
});
