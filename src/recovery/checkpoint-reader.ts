/** Reading the file of a checkpoint: every chunk is verified before anything of it is believed. */
import { corrupt } from '../base/errors.js'
import { readCheckpointHeader } from '../engine/checkpoints.js'
import {
  type CheckpointExpiry,
  type CheckpointHeader,
  type CheckpointKeyspace,
  type CheckpointSegment,
  type ChunkHeader,
  checkpointHeaderSizeBytes,
  checksumChunk,
  chunkChecksumWord,
  chunkElementsMax,
  chunkHeaderSizeBytes,
  chunkHeaderWords,
  chunkOfExpiries,
  chunkOfHomes,
  chunkOfKeyspaces,
  chunkOfOverflows,
  chunkOfSegments,
  chunkSeed,
  decodeCheckpointExpiry,
  decodeCheckpointKeyspace,
  decodeCheckpointSegment,
  elementSizeBytes,
  elementWords,
} from '../format/checkpoint.js'
import type { Platform, PlatformFile } from '../platform/platform.js'

/** Its elements lie in `words` from `chunkHeaderWords` on, until the next chunk is read. */
export interface Chunk extends ChunkHeader {
  readonly words: Int32Array
}

export interface CheckpointContents {
  readonly path: string
  readonly header: CheckpointHeader
  /** By slot. */
  readonly segments: readonly CheckpointSegment[]
  readonly keyspaces: readonly CheckpointKeyspace[]
  readonly expiries: readonly CheckpointExpiry[]
}

/** The chunks of a file, in order. Throws `STORE_CORRUPT` at the first that is not as it was written. */
export function* readChunks(file: PlatformFile, header: CheckpointHeader): Generator<Chunk> {
  const { path } = file
  const seed = chunkSeed(header)
  const words = new Int32Array(chunkHeaderWords + chunkElementsMax * elementWords)
  const bytes = new Uint8Array(words.buffer)
  const expected = new Map([
    [chunkOfSegments, header.slotCount],
    [chunkOfKeyspaces, header.keyspaceCount],
    [chunkOfExpiries, header.expiryCount],
    [chunkOfHomes, header.bucketCount],
    [chunkOfOverflows, header.overflowCount],
  ])
  const found = new Map<number, number>([...expected.keys()].map((kind) => [kind, 0]))
  let position = checkpointHeaderSizeBytes
  for (let index = 0; index < header.chunkCount; index++) {
    const read = file.read(bytes, position)
    const [kind, at, first, count] = words
    const sizeBytes = chunkHeaderSizeBytes + count * elementSizeBytes
    const isPlausible = count > 0 && count <= chunkElementsMax && sizeBytes <= read
    if (!isPlausible) throw corrupt(path, position, 'a chunk of the checkpoint is cut short')
    const stored = words[chunkChecksumWord]
    words[chunkChecksumWord] = 0
    if (checksumChunk(words, count, seed) !== stored) {
      throw corrupt(path, position, 'a chunk of the checkpoint does not match its checksum')
    }
    if (at !== index || first !== found.get(kind)) {
      throw corrupt(path, position, 'a chunk of the checkpoint is not in its place')
    }
    found.set(kind, first + count)
    yield { kind, index, first, count, words }
    position += sizeBytes
  }
  const isWhole =
    position === header.sizeBytes &&
    position === file.sizeBytes() &&
    [...expected].every(([kind, count]) => found.get(kind) === count)
  if (!isWhole) throw corrupt(path, position, 'the checkpoint does not end where it says')
}

/** Verifies the whole file. */
export function readCheckpoint(platform: Platform, path: string): CheckpointContents {
  const file = platform.openFile(path, 'read')
  try {
    const header = readCheckpointHeader(file)
    const segments: CheckpointSegment[] = []
    const keyspaces: CheckpointKeyspace[] = []
    const expiries: CheckpointExpiry[] = []
    for (const { count, kind, words } of readChunks(file, header)) {
      const view = new DataView(words.buffer)
      for (let element = 0; element < count; element++) {
        const offset = chunkHeaderSizeBytes + element * elementSizeBytes
        if (kind === chunkOfSegments) segments.push(decodeCheckpointSegment(view, offset))
        else if (kind === chunkOfKeyspaces) keyspaces.push(decodeCheckpointKeyspace(view, offset))
        else if (kind === chunkOfExpiries) expiries.push(decodeCheckpointExpiry(view, offset))
        else break
      }
    }
    return { path, header, segments, keyspaces, expiries }
  } finally {
    file.close()
  }
}
