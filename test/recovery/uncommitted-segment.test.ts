/**
 * Goal: a segment whose maker was killed before it was put to use takes nothing from the one that gets its number.
 * Method: its file is put beside a store that then makes a segment of the other kind; and put back behind that, as
 *   by a crash that loses the removal. A copy of the store is opened.
 * Properties checked: the file is removed when the number is given away; every record and value is there.
 * Kept by: `removeUncommitted` of roll.ts; `withoutUncommitted` of segment-files.ts.
 */
import assert from 'node:assert/strict'
import { existsSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as layout from '../../src/format/control-layout.js'
import { segmentFileName } from '../../src/format/file-names.js'
import {
  encodeSegmentHeader,
  segmentKindLog,
  segmentKindValue,
  segmentReasonAppend,
  segmentReasonOwnValue,
} from '../../src/format/segment-header.js'
import { open } from '../../src/store/index.js'
import { copyStore, temporaryDirectory } from '../support/directory.js'
import { engineOf } from '../support/engine-of.js'

const segmentSizeBytes = 2 ** 20
const options = { segmentSizeBytes, encoding: 'utf8', syncIntervalMs: 0 } as const
const large = 'l'.repeat(segmentSizeBytes / 2)

for (const mapping of ['mmap', 'file'] as const) {
  for (const left of ['value', 'log'] as const) {
    for (const isPutBack of [false, true]) {
      const how = isPutBack ? ', and comes back' : ''
      test(`a ${left} segment that was never put to use loses its number${how} (${mapping})`, async (t) => {
        const parent = temporaryDirectory(t)
        const path = join(parent, 'store')
        const store = open<string>(path, { ...options, mapping })
        const { control, epoch, log } = engineOf(store)
        const expected = new Map<string, string>()
        const put = (key: string, value: string): void => {
          store.put(key, value)
          expected.set(key, value)
        }
        put('first', 'small')
        const segmentNumber = control.get(layout.nextSegmentNumber)
        const name = segmentFileName(left, segmentNumber)
        const leave = (): void => {
          const fd = openSync(join(path, name), 'w')
          const header = encodeSegmentHeader({
            storeId: log.storeId,
            segmentNumber,
            epoch,
            firstSequence: 2,
            sequenceBefore: 1,
            previousSegment: left === 'log' ? segmentNumber - 1 : 0,
            sizeBytes: segmentSizeBytes,
            kind: left === 'log' ? segmentKindLog : segmentKindValue,
            reason: left === 'log' ? segmentReasonAppend : segmentReasonOwnValue,
            flags: 0,
          })
          writeSync(fd, header)
          ftruncateSync(fd, segmentSizeBytes)
        }
        leave()
        if (left === 'log') put('large', large)
        for (let n = 0; control.get(layout.nextSegmentNumber) < segmentNumber + 2; n++) {
          put(`filling ${n}`, 'f'.repeat(1000))
        }
        assert.equal(existsSync(join(path, name)), false)
        put('last', 'small')
        await store.sync()
        if (isPutBack) leave()
        copyStore(path, join(parent, 'copy'))
        await store.close()

        for (const place of ['store', 'copy']) {
          const again = open<string>(join(parent, place), { ...options, mapping })
          assert.equal(again.count(), expected.size, place)
          for (const [key, value] of expected) assert.equal(again.get(key), value, key)
          assert.deepEqual((await again.verify()).problems, [], place)
          await again.close()
        }
      })
    }
  }
}
