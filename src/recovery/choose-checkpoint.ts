/**
 * Which checkpoint a recovery begins with: the newest one that is whole, of this store, and fits the
 * manifest and the segments that are there. Any other is passed over, and said.
 *
 * A checkpoint that fits the manifest and not the segments tells of damage: what it covers had been
 * synced before it was written. So its address counts as evidence (I5), whether it is used or not.
 */
import { join } from 'node:path'
import { StoreError } from '../base/errors.js'
import { checkpointIds, isReferredTo } from '../engine/checkpoints.js'
import type { PassedOver } from '../engine/engine.js'
import type { CheckpointSegment } from '../format/checkpoint.js'
import { checkpointFileName } from '../format/file-names.js'
import type { Manifest } from '../format/manifest.js'
import { checksumWord, markerSizeWords } from '../format/record.js'
import { checksumRecord, recordSeed } from '../format/record-checksum.js'
import { segmentSeed } from '../format/segment-header.js'
import { kindLog, kindPart, kindValue } from '../log/slot-table.js'
import type { Platform } from '../platform/platform.js'
import { type CheckpointContents, readCheckpoint } from './checkpoint-reader.js'
import { decide, type Facts, startRows } from './decision.js'
import type { SegmentFile, SegmentFiles } from './segment-files.js'

export interface ChosenCheckpoint extends CheckpointContents {
  /** The segment files that it has, by slot; none where nothing leads into one that is gone. */
  readonly files: ReadonlyMap<number, SegmentFile>
  /** Where the records that it has end, in bytes, by number of the log segment. */
  readonly ends: ReadonlyMap<number, number>
}

export interface CheckpointChoice {
  /** The label of the row that took it. */
  readonly row: string
  readonly chosen: ChosenCheckpoint | undefined
  readonly passedOver: readonly PassedOver[]
  /** Address below which everything is known to have survived a sync; 0 where nothing is. */
  readonly durable: number
}

export interface CheckpointPlace {
  readonly platform: Platform
  readonly directory: string
  readonly manifest: Manifest
  /** log2 of the 8-byte words in a segment. */
  readonly shift: number
}

export function chooseCheckpoint(place: CheckpointPlace, found: SegmentFiles): CheckpointChoice {
  const choice = search(place, found)
  const { action, label } = decide(startRows, { checkpoint: () => checkpointFact(choice) })
  return { ...choice, row: label, chosen: action === 'checkpoint' ? choice.chosen : undefined }
}

type Search = Omit<CheckpointChoice, 'row'>

function checkpointFact({ chosen, passedOver }: Search): Facts['checkpoint'] {
  if (chosen === undefined) return passedOver.length === 0 ? 'none' : 'unusable'
  return passedOver.length === 0 ? 'newest' : 'older'
}

function search(place: CheckpointPlace, found: SegmentFiles): Search {
  const { directory, manifest, platform, shift } = place
  const passedOver: PassedOver[] = []
  let durable = 0
  for (const id of checkpointIds(platform, directory)) {
    const file = join(directory, checkpointFileName(id))
    const passOver = (what: string): void => void passedOver.push({ id, file, what })
    const contents = readWhole(platform, file, passOver)
    if (contents === undefined) continue
    const misfit = misfitOfManifest(contents, manifest, id, shift)
    if (misfit !== undefined) {
      passOver(misfit)
      continue
    }
    durable = Math.max(durable, contents.header.address)
    const chosen = matchFiles(platform, contents, found, shift)
    if (typeof chosen !== 'string') return { chosen, passedOver, durable }
    passOver(chosen)
  }
  return { chosen: undefined, passedOver, durable }
}

/** Undefined, and said, where it is damaged. What the system fails with is thrown. */
function readWhole(
  platform: Platform,
  path: string,
  passOver: (what: string) => void,
): CheckpointContents | undefined {
  try {
    return readCheckpoint(platform, path)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    passOver(error.details.what ?? error.message)
    return undefined
  }
}

/** What tells that the checkpoint is not one of the store that the manifest describes. */
function misfitOfManifest(
  { header, segments }: CheckpointContents,
  manifest: Manifest,
  id: number,
  shift: number,
): string | undefined {
  if (!header.storeId.every((byte, index) => manifest.storeId[index] === byte)) {
    return 'it belongs to another store'
  }
  if (header.address !== id) return 'it has the name of another checkpoint'
  if (header.epoch > manifest.epoch) return 'it is of a later epoch than the manifest'
  const named = new Map(manifest.segments.map((segment) => [segment.segmentNumber, segment]))
  const last = Math.floor(header.address / 2 ** shift)
  for (const segment of segments) {
    const { endBytes, epoch, kind, segmentNumber } = segment
    if (segmentNumber === 0 || kind === kindPart) continue
    const entry = named.get(segmentNumber)
    named.delete(segmentNumber)
    const isOfManifest =
      entry === undefined
        ? segmentNumber >= manifest.nextSegmentNumber && epoch === manifest.epoch
        : epoch === entry.epoch && kind === entry.kind && fitsEnd(segment, entry.endBytes)
    if (isOfManifest || isNeedless(segment)) continue
    return `segment ${segmentNumber} of epoch ${epoch}, up to ${endBytes}, is not one of the manifest`
  }
  const [missing] = [...named.values()].filter(
    ({ kind, segmentNumber }) => kind === kindLog && segmentNumber < last,
  )
  return missing && `segment ${missing.segmentNumber} of the manifest is not in it`

  /** Records may have been added behind the checkpoint, to the segment that it ends in. */
  function fitsEnd({ endBytes, kind, segmentNumber, sizeBytes }: CheckpointSegment, end: number) {
    if (kind === kindValue) return true
    const parts = Math.ceil(sizeBytes / (2 ** shift * 8))
    return segmentNumber + parts > last ? endBytes <= end : endBytes === end
  }
}

/**
 * Nothing leads into it: a value that a kill left, which may never have reached the medium, or a segment
 * that compaction dropped since. One that is not dropped and missing is seen by who reads the manifest.
 */
function isNeedless(segment: CheckpointSegment): boolean {
  return !isReferredTo(segment)
}

/** With the segment files in their slots, or what keeps it from being used. */
function matchFiles(
  platform: Platform,
  contents: CheckpointContents,
  found: SegmentFiles,
  shift: number,
): ChosenCheckpoint | string {
  const byNumber = new Map(
    [...found.log, ...found.values].map((file) => [file.header.segmentNumber, file]),
  )
  const files = new Map<number, SegmentFile>()
  const ends = new Map<number, number>()
  for (const [slot, segment] of contents.segments.entries()) {
    const { endBytes, epoch, kind, segmentNumber, sizeBytes } = segment
    if (segmentNumber === 0 || kind === kindPart) continue
    const file = byNumber.get(segmentNumber)
    if (file === undefined && isNeedless(segment)) continue
    if (file === undefined) return `segment ${segmentNumber} is missing`
    const isSame =
      file.header.epoch === epoch &&
      file.header.sizeBytes === sizeBytes &&
      file.fileSizeBytes >= (kind === kindLog ? endBytes : sizeBytes)
    if (!isSame) return `segment ${segmentNumber} is another one, or cut short`
    files.set(slot, file)
    if (kind === kindLog) ends.set(segmentNumber, endBytes)
  }
  const last = segmentOf(contents, files, shift)
  if (last === undefined || !hasMarker(platform, contents, last, shift)) {
    return 'the log does not have the marker that it was made behind'
  }
  return { ...contents, files, ends }
}

/** The file that the marker of a checkpoint lies in. */
function segmentOf(
  { header }: CheckpointContents,
  files: ReadonlyMap<number, SegmentFile>,
  shift: number,
): SegmentFile | undefined {
  const number = Math.floor(header.marker / 2 ** shift)
  return [...files.values()].find(({ header: { segmentNumber, sizeBytes } }) => {
    const parts = Math.ceil(sizeBytes / (2 ** shift * 8))
    return number >= segmentNumber && number < segmentNumber + parts
  })
}

/** True where the very record lies there: of this store, this time, and these bytes. */
function hasMarker(
  platform: Platform,
  { header }: CheckpointContents,
  { header: segment, path }: SegmentFile,
  shift: number,
): boolean {
  const words = new Int32Array(markerSizeWords * 2)
  const file = platform.openFile(path, 'read')
  try {
    const bytes = new Uint8Array(words.buffer)
    const position = (header.marker - segment.segmentNumber * 2 ** shift) * 8
    if (file.read(bytes, position) < bytes.byteLength) return false
  } finally {
    file.close()
  }
  const number = Math.floor(header.marker / 2 ** shift)
  const seed = segmentSeed(segment.storeId, segment.epoch, number)
  const offset = header.marker - number * 2 ** shift
  return (
    words[checksumWord] === header.markerChecksum &&
    checksumRecord(words, 0, words.length, recordSeed(seed, offset, false)) ===
      header.markerChecksum
  )
}
