/** Short runs of every kind of change, for tests that stop each of them everywhere. */
import { hashKey } from '../../src/engine/probe.js'
import { engineOf } from '../support/engine-of.js'
import {
  applyChange,
  type BinaryStore,
  type Change,
  emptyState,
  type Part,
  type State,
  stateAfter,
} from '../support/state.js'

export const segmentSizeBytes = 2 ** 20

export interface Workload {
  readonly name: string
  /** Done in full before anything is stopped. */
  readonly prepare: (store: BinaryStore) => Change[]
  /** What is stopped everywhere. */
  readonly changes: (store: BinaryStore) => Change[]
}

const put = (key: string, size: number, seed: number, space = ''): Change => ({
  do: 'set',
  parts: [{ space, key, value: { size, seed } }],
})
const remove = (key: string, space = ''): Change => ({
  do: 'set',
  parts: [{ space, key, value: undefined }],
})
const part = (key: string, size: number, seed: number, space = ''): Part => ({
  space,
  key,
  value: { size, seed },
})
const stream = (key: string, size: number, seed: number): Change => ({
  do: 'stream',
  parts: [{ space: '', key, value: { size, seed } }],
})
const sync: Change = { do: 'sync' }
const order: Change = { do: 'order' }
const snapshot: Change = { do: 'snapshot' }
const close: Change = { do: 'close' }

/** Keys whose home is the same bucket of a table that has not grown yet. */
function keysOfOneBucket(store: BinaryStore, count: number): string[] {
  const engine = engineOf(store)
  const keys: string[] = []
  for (let index = 0; keys.length < count; index++) {
    const key = `b${index}`
    engine.key.setText(key)
    if (engine.index.bucketOf(hashKey(engine, 0)) === 7) keys.push(key)
  }
  return keys
}

/** Puts that leave less than `leftBytes` in the tail segment, and more than half of it. */
function fill(store: BinaryStore, leftBytes: number): Change[] {
  const changes: Change[] = []
  let free = segmentSizeBytes - (engineOf(store).log.tailOffset + 40) * 8
  for (let index = 0; free > leftBytes; index++) {
    // A record of the header, a key of 8 bytes and the value; an eighth of the segment at most.
    const size = Math.min(130_000, Math.max(8, Math.floor((free - leftBytes * 0.6) / 8) * 8 - 56))
    changes.push(put(`f${String(index).padStart(7, '0')}`, size, index))
    free -= size + 56
  }
  return changes
}

const fewKeys = (): Change[] => [put('a', 20, 1), put('b', 0, 2), put('c', 100, 3)]

export const workloads: readonly Workload[] = [
  {
    name: 'a put of a new key',
    prepare: fewKeys,
    changes: () => [put('new', 30, 4), put('', 0, 5)],
  },
  {
    name: 'the first put of a store',
    prepare: () => [],
    changes: () => [put('first', 30, 4)],
  },
  {
    name: 'an update in place, to the same size, a smaller and a larger one',
    prepare: fewKeys,
    changes: () => [put('c', 100, 4), put('c', 40, 5), put('c', 96, 6), put('c', 100, 7)],
  },
  {
    name: 'an update that appends: too long, or below the read-only boundary',
    prepare: () => [...fewKeys(), sync],
    changes: () => [put('c', 100, 4), put('c', 300, 5), put('a', 20, 6)],
  },
  {
    name: 'a delete',
    prepare: () => [...fewKeys(), sync, put('d', 5, 9)],
    changes: () => [remove('b'), remove('d'), remove('missing'), put('b', 9, 9), remove('b')],
  },
  {
    name: 'a batch with two keys in one bucket, a key twice, and deletes of missing keys',
    prepare: () => [...fewKeys(), { do: 'make', space: 'one' }],
    changes(store) {
      const [first, second] = keysOfOneBucket(store, 2)
      const parts = [
        part(first, 30, 11),
        part(second, 31, 12),
        part('a', 20, 13),
        { space: '', key: 'missing', value: undefined },
        { space: '', key: 'c', value: undefined },
        part(first, 8, 14),
        part(first, 8, 15, 'one'),
      ]
      return [
        { do: 'write', parts },
        { do: 'write', parts: [part(second, 0, 16)] },
      ]
    },
  },
  {
    name: 'a bucket that gets an overflow bucket, and a batch that fills two more',
    prepare: (store) => keysOfOneBucket(store, 7).map((key, index) => put(key, 8, index)),
    changes(store) {
      const [, , , , , , , eighth, ...more] = keysOfOneBucket(store, 24)
      return [
        put(eighth, 8, 50),
        { do: 'write', parts: more.map((key, index) => part(key, 4, 60 + index)) },
        remove(eighth),
      ]
    },
  },
  {
    name: 'splits of a bucket with and without overflow buckets',
    prepare(store) {
      const keys = keysOfOneBucket(store, 20)
      for (let index = keys.length; index < 1280 + 7; index++) keys.push(`s${index}`)
      return [{ do: 'write', parts: keys.map((key, index) => part(key, 4, index)) }, sync]
    },
    // The table has grown by 7 buckets; the next to be split is the full one.
    changes: () => [
      ...Array.from({ length: 5 }, (_, index) => put(`t${index}`, 4, index)),
      { do: 'write', parts: Array.from({ length: 6 }, (_, index) => part(`u${index}`, 4, index)) },
    ],
  },
  {
    name: 'a put that begins a new segment',
    prepare: (store) => fill(store, 400),
    changes: () => [put('x', 100, 1), put('y', 600, 2), put('z', 10, 3)],
  },
  {
    name: 'a batch that begins a new segment',
    prepare: (store) => fill(store, 400),
    changes: () => [
      { do: 'write', parts: [part('x', 300, 1), part('y', 300, 2)] },
      put('z', 10, 3),
    ],
  },
  {
    name: 'a batch larger than a segment, and what is written behind it',
    prepare: fewKeys,
    changes: () => [
      {
        do: 'write',
        parts: Array.from({ length: 5 }, (_, index) => part(`l${index}`, 250_000, index)),
      },
      put('x', 100, 1),
      put('a', 20, 2),
    ],
  },
  {
    name: 'a sync between writes',
    prepare: fewKeys,
    changes: () => [put('x', 10, 1), sync, put('x', 10, 2), sync, sync, remove('a'), sync],
  },
  {
    name: 'a sync whose marker begins a new segment',
    prepare: (store) => fill(store, 80),
    changes: () => [sync, put('x', 100, 1), sync],
  },
  {
    name: 'keyspaces made, used and dropped',
    prepare: fewKeys,
    changes: () => [
      { do: 'make', space: 'one' },
      put('a', 10, 1, 'one'),
      { do: 'make', space: 'two' },
      { do: 'write', parts: [part('a', 1, 2, 'one'), part('a', 2, 3, 'two'), part('a', 3, 4)] },
      put('b', 10, 5, 'one'),
      { do: 'drop', space: 'one' },
      { do: 'make', space: 'one' },
      remove('a', 'two'),
    ],
  },
  {
    name: 'a value in a segment of its own: new, replaced, deleted, in a batch',
    prepare: fewKeys,
    changes: () => [
      put('x', segmentSizeBytes / 4 + 1, 1),
      put('x', segmentSizeBytes / 4 + 5, 2),
      { do: 'write', parts: [part('y', segmentSizeBytes / 2, 3), part('x', 10, 4)] },
      remove('y'),
    ],
  },
  {
    name: 'values that are aligned: behind others, behind each other, in a batch, in place',
    prepare: fewKeys,
    changes: () => [
      put('x', 600, 1),
      put('x', 590, 2),
      put('a', 3, 3),
      put('y', 700, 4),
      { do: 'write', parts: [part('z', 800, 5), part('b', 7, 6), part('x', 512, 7)] },
      sync,
      put('z', 800, 8),
    ],
  },
  {
    name: 'an aligned value that begins a new segment',
    prepare: (store) => fill(store, 900),
    changes: () => [put('x', 700, 1), put('y', 600, 2)],
  },
  {
    name: 'values that are streamed: empty, short, in a segment of their own, over another',
    prepare: fewKeys,
    changes: () => [
      stream('x', 0, 1),
      stream('a', 20, 2),
      stream('x', segmentSizeBytes / 2 + 3, 3),
      stream('x', segmentSizeBytes / 2 + 1, 4),
      stream('x', 10, 5),
    ],
  },
]

/** Several segments: one dead as a whole, one of which little lives, batches and tombstones among it. */
const garbage = (store: BinaryStore): Change[] => [
  ...Array.from({ length: 8 }, (_, index) => put(`g${index}`, 125_000, index)),
  {
    do: 'write',
    parts: [part('a', 100, 1), part('b', 100_000, 2), { space: '', key: 'g7', value: undefined }],
  },
  put('x', segmentSizeBytes / 4 + 1, 1),
  remove('x'),
  put('c', 300, 3),
  put('d', 200, 4),
  ...Array.from({ length: 8 }, (_, index) => put(`g${index}`, 125_000, 20 + index)),
  remove('g0'),
  put('b', 60_000, 6),
  ...Array.from({ length: 8 }, (_, index) => put(`g${index}`, 125_000, 40 + index)),
  ...fill(store, 600_000),
]

export const compactionWorkloads: readonly Workload[] = [
  {
    name: 'a compaction, and what is written behind it',
    prepare: garbage,
    changes: () => [{ do: 'compact' }, put('a', 20, 5), remove('c'), { do: 'compact' }],
  },
  {
    name: 'a compaction beside a snapshot, and one when it is closed',
    prepare: (store) => [...garbage(store), order],
    changes: () => [
      snapshot,
      remove('d'),
      put('c', 30, 9),
      { do: 'compact' },
      close,
      { do: 'compact' },
    ],
  },
]

/** Higher than what the store draws, and with room above. */
const highVersion = 2 ** 52 + 2 ** 51
const command = (key: string, size: number | undefined, seed: number, version: number): Change => ({
  ...{ do: 'command', version },
  parts: [{ space: '', key, value: size === undefined ? undefined : { size, seed } }],
})
const expire = (key: string, size: number, seed: number): Change => ({
  do: 'expire',
  parts: [part(key, size, seed)],
})

export const operationWorkloads: readonly Workload[] = [
  {
    name: 'update: new, in place, longer, removed',
    prepare: fewKeys,
    changes: () => [
      { do: 'update', parts: [part('new', 10, 1)] },
      { do: 'update', parts: [part('new', 9, 2)] },
      // Of the record that was updated in place last.
      { do: 'update', parts: [part('new', 8, 4)] },
      { do: 'update', parts: [part('new', 9, 5)] },
      { do: 'update', parts: [part('a', 90, 3)] },
      { do: 'update', parts: [{ space: '', key: 'b', value: undefined }] },
    ],
  },
  {
    name: 'a transaction: a key written twice, a delete, a keyspace made, a value of its own segment',
    prepare: fewKeys,
    changes: () => [
      {
        do: 'transaction',
        parts: [
          part('a', 8, 1),
          part('n', 8, 2),
          part('a', 9, 3),
          { space: '', key: 'b', value: undefined },
          part('c', 4, 4),
        ],
      },
      { do: 'make', space: 'one' },
      {
        do: 'transaction',
        parts: [part('a', 1, 5, 'one'), part('large', segmentSizeBytes / 4 + 9, 6)],
      },
    ],
  },
  {
    name: 'records that expire: new, over one that stays, in place, and taken out by a count',
    prepare: () => [...fewKeys(), sync, order],
    changes: () => [
      expire('x', 20, 1),
      expire('x', 20, 2),
      expire('a', 20, 3),
      { do: 'count' },
      put('a', 20, 4),
      snapshot,
      expire('c', 10, 5),
      { do: 'count' },
      close,
    ],
  },
  {
    name: 'commands: the first of all, late ones, deletes of what is there and what is not',
    prepare: () => [...fewKeys(), sync, order],
    changes: () => [
      command('x', 20, 1, 5),
      command('y', undefined, 1, 5),
      command('x', undefined, 2, 6),
      command('a', 9, 3, highVersion),
      command('a', undefined, 4, highVersion),
      command('x', 7, 5, 7),
      remove('x'),
      put('x', 3, 6),
    ],
  },
  {
    name: 'rename: to a new key, over one that is there, to another keyspace',
    prepare: () => [...fewKeys(), { do: 'make', space: 'one' }, order],
    changes: () => [
      { do: 'rename', from: { space: '', key: 'a' }, to: { space: '', key: 'new' } },
      { do: 'rename', from: { space: '', key: 'new' }, to: { space: '', key: 'b' } },
      { do: 'rename', from: { space: '', key: 'b' }, to: { space: 'one', key: 'b' } },
    ],
  },
]

/** Keys of which a page of the ordered index holds some forty. */
const wideKey = (index: number): string => `${String(index).padStart(4, '0')}${'w'.repeat(40)}`
const wideKeys = (count: number): Change => ({
  do: 'write',
  parts: Array.from({ length: count }, (_, index) => part(wideKey(index * 2), 4, index)),
})

export const orderedWorkloads: readonly Workload[] = [
  {
    name: 'the ordered index: new keys, updates, deletes and the same keys again',
    prepare: () => [...fewKeys(), order],
    changes: () => [put('new', 30, 4), put('a', 20, 5), remove('b'), put('b', 3, 6), put('', 0, 7)],
  },
  {
    name: 'the ordered index when it is built, and built again by nobody',
    prepare: fewKeys,
    changes: () => [order, put('d', 1, 1), order],
  },
  {
    name: 'the ordered index: a batch of puts and deletes, a key twice, two keyspaces',
    prepare: () => [...fewKeys(), { do: 'make', space: 'one' }, order],
    changes: () => [
      {
        do: 'write',
        parts: [
          part('n1', 3, 1),
          part('a', 20, 2),
          { space: '', key: 'c', value: undefined },
          part('n1', 9, 3),
          part('n1', 9, 4, 'one'),
          { space: '', key: 'missing', value: undefined },
          part('c', 4, 5),
          { space: '', key: 'b', value: undefined },
        ],
      },
      { do: 'drop', space: 'one' },
    ],
  },
  {
    name: 'the ordered index: pages that are split, merged and freed, and a long key',
    prepare: () => [wideKeys(70), order],
    changes: () => [
      ...Array.from({ length: 4 }, (_, index) => put(wideKey(index * 2 + 21), 2, index)),
      put('l'.repeat(5000), 1, 1),
      remove('l'.repeat(5000)),
      {
        do: 'write',
        parts: Array.from({ length: 60 }, (_, index) => ({
          space: '',
          key: wideKey(index * 2),
          value: undefined,
        })),
      },
    ],
  },
  {
    name: 'tombstones that a snapshot keeps, and their end when it is closed',
    prepare: () => [...fewKeys(), { do: 'make', space: 'one' }, put('x', 9, 9, 'one'), order],
    changes: () => [
      snapshot,
      remove('a'),
      put('b', 50, 1),
      {
        do: 'write',
        parts: [{ space: '', key: 'b', value: undefined }, part('d', 2, 2), part('a', 3, 3)],
      },
      remove('a'),
      { do: 'drop', space: 'one' },
      close,
      put('a', 1, 4),
    ],
  },
]

export interface Prepared {
  readonly state: State
  /** Every state since the last completed sync: what another boot may find. */
  readonly sinceSync: readonly State[]
}

/** Runs the changes that prepare a workload. */
export async function prepareWorkload(workload: Workload, store: BinaryStore): Promise<Prepared> {
  let state = emptyState
  let sinceSync: State[] = [state]
  for (const change of workload.prepare(store)) {
    await applyChange(store, change)
    state = stateAfter(state, change)
    if (change.do === 'sync') sinceSync = []
    sinceSync.push(state)
  }
  return { state, sinceSync }
}
