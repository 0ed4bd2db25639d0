/**
 * The manifest: the epoch, and which segments of earlier epochs count and up to where. Replaced
 * whole (written beside, synced, renamed, directory synced) by every recovery on another boot, by
 * compaction before it removes a segment, and by every proper close, which changes `durable` only.
 * Segments with a number below `nextSegmentNumber` count if they are named. From there on they are not
 * named; they count if their header has the manifest's epoch, but for those of kind 3.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVMANI"
 *      8 |   16 | storeId
 *     24 |    8 | epoch: f64
 *     32 |    8 | nextSegmentNumber: f64
 *     40 |    8 | durable: f64, address below which everything survived a sync
 *     48 |    4 | segmentCount: u32
 *     52 |    4 | losses: u31, recoveries that may have lost changes since the last segment was made: so often
 *        |      | the sequences go on 2^32 higher than the log's; and the highest bit where the
 *        |      | session that wrote it ended properly, so `durable` is the end of its log
 *     56 |   32 | one for each segment, in order of number:
 *        |      |   0: segmentNumber f64 · 8: epoch f64 · 16: endBytes f64 · 24: kind u32 · 28: 0
 *        |      |   kind: 1 log, 2 value, 3 a value that compaction dropped
 *      … |    4 | checksum: XXH32 of all bytes before
 */
import { checksumBytes } from '../base/checksum.js'
import { corrupt, wrongFormat } from '../base/errors.js'

const magic = new Uint8Array([0x56, 0x41, 0x52, 0x56, 0x4d, 0x41, 0x4e, 0x49])
const storeIdOffset = 8
const epochOffset = 24
const nextSegmentNumberOffset = 32
const durableOffset = 40
const segmentCountOffset = 48
const lossesOffset = 52
export const manifestHeaderSizeBytes = 56
export const manifestSegmentSizeBytes = 32
const checksumSizeBytes = 4
const closedBit = 2 ** 31

/** A value segment that is gone: the records that refer to it are superseded. */
export const segmentKindDropped = 3

export interface ManifestSegment {
  readonly segmentNumber: number
  readonly epoch: number
  /** Where its records end; what lies behind is dead. */
  readonly endBytes: number
  readonly kind: number
}

export interface Manifest {
  readonly storeId: Uint8Array
  readonly epoch: number
  readonly nextSegmentNumber: number
  readonly durable: number
  readonly losses: number
  /** True where the session that wrote it ended properly: `durable` is then the end of its log. */
  readonly isClosed: boolean
  readonly segments: readonly ManifestSegment[]
}

/** True where compaction dropped a segment: what a record says of it is of no use any more. */
export function isDropped(manifest: Manifest, segmentNumber: number): boolean {
  const named = manifest.segments.find((segment) => segment.segmentNumber === segmentNumber)
  if (named !== undefined) return named.kind === segmentKindDropped
  return segmentNumber < manifest.nextSegmentNumber
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const segmentsSizeBytes = manifest.segments.length * manifestSegmentSizeBytes
  const checksumOffset = manifestHeaderSizeBytes + segmentsSizeBytes
  const bytes = new Uint8Array(checksumOffset + checksumSizeBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  bytes.set(manifest.storeId, storeIdOffset)
  view.setFloat64(epochOffset, manifest.epoch, true)
  view.setFloat64(nextSegmentNumberOffset, manifest.nextSegmentNumber, true)
  view.setFloat64(durableOffset, manifest.durable, true)
  view.setUint32(segmentCountOffset, manifest.segments.length, true)
  const bit = manifest.isClosed ? closedBit : 0
  view.setUint32(lossesOffset, manifest.losses + bit, true)
  let offset = manifestHeaderSizeBytes
  for (const segment of manifest.segments) {
    view.setFloat64(offset, segment.segmentNumber, true)
    view.setFloat64(offset + 8, segment.epoch, true)
    view.setFloat64(offset + 16, segment.endBytes, true)
    view.setUint32(offset + 24, segment.kind, true)
    offset += manifestSegmentSizeBytes
  }
  view.setInt32(checksumOffset, checksumBytes(bytes.subarray(0, checksumOffset), 0), true)
  return bytes
}

export function decodeManifest(bytes: Uint8Array, file: string): Manifest {
  if (!magic.every((byte, index) => bytes[index] === byte)) {
    throw wrongFormat(file, 'it does not begin as a manifest does')
  }
  const copy = Uint8Array.from(bytes)
  const view = new DataView(copy.buffer)
  const checksumOffset = copy.byteLength - checksumSizeBytes
  if (checksumOffset < manifestHeaderSizeBytes || checksumOffset % 4 !== 0) {
    throw corrupt(file, 0, 'the manifest is cut short')
  }
  const stored = view.getInt32(checksumOffset, true)
  if (checksumBytes(copy.subarray(0, checksumOffset), 0) !== stored) {
    throw corrupt(file, 0, 'the checksum of the manifest does not match')
  }
  const segmentCount = view.getUint32(segmentCountOffset, true)
  if (checksumOffset !== manifestHeaderSizeBytes + segmentCount * manifestSegmentSizeBytes) {
    throw corrupt(file, segmentCountOffset, 'the manifest does not have the size it names')
  }
  const losses = view.getUint32(lossesOffset, true)
  const segments: ManifestSegment[] = []
  for (let index = 0; index < segmentCount; index++) {
    const offset = manifestHeaderSizeBytes + index * manifestSegmentSizeBytes
    segments.push({
      segmentNumber: view.getFloat64(offset, true),
      epoch: view.getFloat64(offset + 8, true),
      endBytes: view.getFloat64(offset + 16, true),
      kind: view.getUint32(offset + 24, true),
    })
  }
  return {
    storeId: copy.slice(storeIdOffset, storeIdOffset + 16),
    epoch: view.getFloat64(epochOffset, true),
    nextSegmentNumber: view.getFloat64(nextSegmentNumberOffset, true),
    durable: view.getFloat64(durableOffset, true),
    losses: losses % closedBit,
    isClosed: losses >= closedBit,
    segments,
  }
}
