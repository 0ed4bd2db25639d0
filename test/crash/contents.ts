/** What a store holds, as plain data that is cheap to compare: for tests that open many thousands. */
import type { Keyspace, Store } from '../../src/store/index.js'
import { Random } from '../support/random.js'

export type BinaryStore = Store<Buffer>

/**
 * Values by keyspace, '/' and key. A keyspace other than the default one has an entry with an empty
 * key for as long as it exists.
 */
export type Contents = ReadonlyMap<string, Buffer>

const exists = Buffer.from('exists')

export function nameOf(space: string, key: string): string {
  return `${space}/${key}`
}

export function withSpace(contents: Contents, space: string): Contents {
  return new Map([...contents, [nameOf(space, ''), exists]])
}

const values = new Map<string, Buffer>()

/** The same bytes for the same size and seed. */
export function makeValue(sizeBytes: number, seed: number): Buffer {
  const id = `${sizeBytes}:${seed}`
  let value = values.get(id)
  if (value === undefined) {
    value = new Random(seed * 31 + sizeBytes).bytes(sizeBytes)
    values.set(id, value)
  }
  return value
}

function keyspaceOf(store: BinaryStore, space: string): Keyspace<Buffer> {
  if (space === '') return store
  return store.keyspace<Buffer>(space, { encoding: 'binary', keyEncoding: 'utf8' })
}

/** All that a store holds under the names in `universe`, and a word about what else there is. */
export function readContents(
  store: BinaryStore,
  universe: ReadonlySet<string>,
): { readonly contents: Contents; readonly surplus: string | undefined } {
  const contents = new Map<string, Buffer>()
  const spaces = store.keyspaces()
  let surplus: string | undefined
  for (const space of ['', ...spaces]) {
    if (space !== '') contents.set(nameOf(space, ''), exists)
    if (space !== '' && !universe.has(nameOf(space, ''))) surplus = `keyspace "${space}"`
  }
  const found = new Map<string, number>()
  for (const name of universe) {
    const slash = name.indexOf('/')
    const space = name.slice(0, slash)
    const key = name.slice(slash + 1)
    if (key === '' || (space !== '' && !spaces.includes(space))) continue
    const value = keyspaceOf(store, space).get(key)
    if (value === undefined) continue
    contents.set(name, value)
    found.set(space, (found.get(space) ?? 0) + 1)
  }
  for (const space of ['', ...spaces]) {
    const count = keyspaceOf(store, space).count()
    if (count !== (found.get(space) ?? 0)) surplus = `count() of "${space}" is ${count}`
  }
  return { contents, surplus }
}

/** What the ordered index has of a keyspace that the contents do not have, or the other way round. */
export function differenceInOrder(store: BinaryStore, contents: Contents): string | undefined {
  for (const space of ['', ...store.keyspaces()]) {
    const prefix = nameOf(space, '')
    const expected = [...contents.keys()]
      .filter((name) => name.startsWith(prefix) && name !== prefix)
      .map((name) => name.slice(prefix.length))
      .sort()
    const actual = keyspaceOf(store, space).keys().toArray()
    if (actual.join() !== expected.join()) {
      return `the keys of "${space}" are ${actual.join()}, not ${expected.join()}`
    }
  }
  return undefined
}

export function areEqual(a: Contents, b: Contents): boolean {
  if (a.size !== b.size) return false
  for (const [name, value] of a) {
    const other = b.get(name)
    if (other === undefined || !other.equals(value)) return false
  }
  return true
}

/** Short, for a message. */
export function described(contents: Contents): string {
  return [...contents]
    .map(([name, value]) => `${name}(${value.byteLength}:${value.subarray(0, 4).toString('hex')})`)
    .sort()
    .join(' ')
}
