/** The index that a checkpoint has, with nothing replayed. */
import { join } from 'node:path'
import {
  bucketWords,
  entriesPerBucket,
  entryWords,
  linkWordInBucket,
} from '../../src/format/bucket.js'
import {
  chunkHeaderWords,
  chunkOfHomes,
  chunkOfOverflows,
  elementWords,
} from '../../src/format/checkpoint.js'
import { checkpointFileName } from '../../src/format/file-names.js'
import { createFilePlatform } from '../../src/platform/file-platform.js'
import { readCheckpoint, readChunks } from '../../src/recovery/checkpoint-reader.js'
import { readSuperblock } from '../../src/recovery/store-files.js'

/** As `indexEntries`: hash and address of each entry, sorted. */
export function loadOnly(directory: string, id: number): string[] {
  const platform = createFilePlatform()
  const path = join(directory, checkpointFileName(id))
  const { segmentShift: shift } = readSuperblock(platform, directory, true)
  const { header, segments } = readCheckpoint(platform, path)
  const homes: Int32Array[] = []
  const overflows: Int32Array[] = []
  const file = platform.openFile(path, 'read')
  for (const { count, kind, words } of readChunks(file, header)) {
    for (let element = 0; element < count; element++) {
      const start = chunkHeaderWords + element * elementWords
      const bucket = words.slice(start, start + bucketWords)
      if (kind === chunkOfHomes) homes.push(bucket)
      else if (kind === chunkOfOverflows) overflows.push(bucket)
    }
  }
  file.close()
  const found: string[] = []
  for (const [home, first] of homes.entries()) {
    for (let bucket = first; ; bucket = overflows[bucket[linkWordInBucket]]) {
      for (let entry = 0; entry < entriesPerBucket * entryWords; entry += entryWords) {
        const [low, high] = bucket.subarray(entry, entry + entryWords)
        if (low === 0 && high === 0) continue
        const slot = ((low & 0xff) << (32 - shift)) | (high >>> shift)
        const offset = high & (2 ** shift - 1)
        const hash = ((low & ~0xff) | (home & 0xff)) >>> 0
        found.push(`${hash} ${segments[slot].segmentNumber * 2 ** shift + offset}`)
      }
      if (bucket[linkWordInBucket] === 0) break
    }
  }
  return found.sort()
}
