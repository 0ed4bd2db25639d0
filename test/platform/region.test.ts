import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { createFilePlatform } from '../../src/platform/file-platform.js'
import { createMemoryPlatform } from '../../src/platform/memory-platform.js'
import { indexInPiece, pieceOf } from '../../src/platform/region.js'
import { temporaryDirectory } from '../support/directory.js'

describe('the pieces of a region', () => {
  for (const shift of [1, 3, 8, 14]) {
    test(`give every element a place of its own, in order, from 2^${shift} on`, () => {
      let piece = 0
      let index = -1
      for (let element = 0; element < 2 ** (shift + 6); element++) {
        const nextPiece = pieceOf(element, shift)
        const nextIndex = indexInPiece(element, shift)
        if (nextPiece === piece) {
          assert.equal(nextIndex, index + 1)
        } else {
          const full = piece === 0 ? 2 ** shift : 2 ** (shift + piece - 1)
          assert.equal(index, full - 1, 'a piece is full before the next begins')
          assert.equal(nextPiece, piece + 1)
          assert.equal(nextIndex, 0)
        }
        piece = nextPiece
        index = nextIndex
      }
    })
  }

  test('reach to the largest table that an index may have', () => {
    assert.equal(pieceOf(2 ** 27 - 1, 14), 13)
    assert.equal(indexInPiece(2 ** 27 - 1, 14), 2 ** 26 - 1)
    assert.equal(pieceOf(2 ** 27, 14), 14)
    assert.equal(indexInPiece(2 ** 27, 14), 0)
  })
})

describe('files', () => {
  const kinds = [
    { name: 'in memory', make: createMemoryPlatform },
    { name: 'on disk', make: createFilePlatform },
  ]
  for (const { name, make } of kinds) {
    test(`${name}: a reserved file reads as zeros, and as written after a write`, (t) => {
      const platform = make()
      const directory = temporaryDirectory(t)
      const file = platform.openFile(join(directory, 'file'), 'create')
      file.reserve(10_000)
      assert.ok(file.sizeBytes() >= 10_000)
      assert.ok(file.reservedBytes() >= 10_000)
      const mapping = file.map(0, 10_000, 'shared')
      const bytes = new Uint8Array(mapping.buffer, mapping.byteOffset, 10_000)
      assert.ok(bytes.every((byte) => byte === 0))
      bytes.set([1, 2, 3], 500)
      mapping.writeThrough(500, 3)
      const read = new Uint8Array(5)
      assert.equal(file.read(read, 499), 5)
      assert.deepEqual([...read], [0, 1, 2, 3, 0])
      assert.equal(file.read(read, 9_998), 2, 'fewer bytes only where the file ends')
      mapping.unmap()
      file.close()
      assert.equal(platform.exists(join(directory, 'file')), true)
      platform.rename(join(directory, 'file'), join(directory, 'other'))
      assert.deepEqual(platform.list(directory), ['other'])
      platform.remove(join(directory, 'other'))
      assert.throws(() => platform.openFile(join(directory, 'other'), 'read'), { code: 'ENOENT' })
    })
  }
})
