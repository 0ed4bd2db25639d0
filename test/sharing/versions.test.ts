/**
 * Goal: all that share a store at once are of one version of Varve, whatever their Node.
 * Method: the control file of a store that another process has open is signed as by another version;
 *   a process of another Node opens a store beside this one.
 * Properties checked: STORE_FORMAT that names both versions, nothing changed, the others go on; the
 *   version is that of the package; each sees what the other writes.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import * as layout from '../../src/format/control-layout.js'
import { controlFileName } from '../../src/format/file-names.js'
import { libraryVersion } from '../../src/format/version.js'
import { open } from '../../src/store/index.js'
import { noMountNamespaces } from '../store/child.js'
import { contentsOf, overwrite, temporaryDirectory } from '../support/directory.js'
import { storeErrorOf } from '../support/store-error.js'
import { openOnReadOnlyMount, openSession } from './session.js'

const options = { segmentSizeBytes: 2 ** 20 } as const
const otherVersion = '0.0.999-other'

/** As if a Varve of another version had signed it. */
function signAsAnother(path: string): void {
  const text = Buffer.alloc(layout.identitySizeBytes)
  text.write(otherVersion)
  overwrite(join(path, controlFileName), layout.libraryVersionOffset, text)
}

function signature(path: string): string {
  const start = layout.libraryVersionOffset
  const bytes = readFileSync(join(path, controlFileName))
  const text = bytes.toString('utf8', start, start + layout.identitySizeBytes)
  return text.slice(0, text.indexOf('\0'))
}

describe('versions of Varve', () => {
  test('the one that is signed is that of the package', async (t) => {
    const text = readFileSync(join(process.cwd(), 'package.json'), 'utf8')
    assert.equal(libraryVersion, (JSON.parse(text) as { version: string }).version)
    const path = temporaryDirectory(t)
    await using store = open(path, options)
    assert.equal(store.path, path)
    assert.equal(signature(path), libraryVersion)
  })

  test('a store that another one has open is refused, naming both, and left as it is', async (t) => {
    const path = temporaryDirectory(t)
    const other = await openSession(t, path, options)
    await other.do({ do: 'put', key: 'a', value: 1 })
    signAsAnother(path)
    const before = contentsOf(path)
    for (const readOnly of [false, true]) {
      const error = storeErrorOf(() => open(path, { readOnly }), 'STORE_FORMAT')
      assert.ok(error.message.includes(otherVersion), error.message)
      assert.ok(error.message.includes(libraryVersion), error.message)
    }
    assert.deepEqual(contentsOf(path), before)
    await other.do({ do: 'put', key: 'a', value: 2 })
    assert.equal(await other.get('a'), 2, 'the other one goes on')
    assert.equal((await other.do({ do: 'attachments' })).attachments?.length, 1)
  })

  test('is refused to a reader on a read-only mount, too', {
    skip: noMountNamespaces,
  }, async (t) => {
    const path = temporaryDirectory(t)
    await openSession(t, path, options)
    signAsAnother(path)
    await assert.rejects(openOnReadOnlyMount(t, path), new RegExp(otherVersion))
  })

  test('a store that nobody has open any more is opened, and signed anew', async (t) => {
    const path = temporaryDirectory(t)
    for (const isKilled of [false, true]) {
      const other = await openSession(t, path, options)
      await other.do({ do: 'put', key: 'a', value: isKilled })
      signAsAnother(path)
      await (isKilled ? other.kill() : other.do({ do: 'close' }))
      const store = open(path)
      assert.equal(store.get('a'), isKilled)
      assert.equal(signature(path), libraryVersion)
      await store.close()
    }
  })
})

const otherNode = process.env.VARVE_OTHER_NODE

describe('versions of Node', {
  skip: otherNode === undefined ? 'VARVE_OTHER_NODE names no other Node' : false,
}, () => {
  test('share a store: each sees what the other writes, and who it is', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open<number>(path, options)
    const other = await openSession(t, path, options, otherNode)
    for (let round = 0; round < 100; round++) {
      store.put('a', round)
      assert.equal(await other.get('a'), round)
      await other.do({ do: 'put', key: 'b', value: round })
      assert.equal(store.get('b'), round)
    }
    for (let number = 0; number < 10_000; number++) store.put(`key ${number}`, number)
    assert.equal((await other.do({ do: 'count' })).value, 10_002)
    const [own, its] = store.attachments()
    const ownVersion = Number(process.versions.node.split('.')[0])
    assert.equal(own.nodeVersion, ownVersion)
    assert.equal(its.processId, other.process.pid)
    assert.notEqual(its.nodeVersion, ownVersion, 'VARVE_OTHER_NODE is another Node')
    await other.kill()
    store.put('a', -1)
    assert.deepEqual([store.get('a'), store.get('b'), store.attachments().length], [-1, 99, 1])
  })

  test('finish what the other one began', async (t) => {
    const path = temporaryDirectory(t)
    await using store = open<number>(path, options)
    const other = await openSession(t, path, options, otherNode)
    store.put('a', 1)
    await other.dieIn({ do: 'dieInPut', key: 'a', value: 2 })
    assert.equal(store.get('a'), 2)
    store.put('a', 3)
    assert.equal(store.get('a'), 3)
  })
})
