/**
 * Which segment lies in which slot, in memory beside the control file. An index entry names a slot
 * and not a segment number, because a slot fits its bits; slots are reused, numbers never.
 *
 * A segment is sealed when the log goes on in another one. Of a sealed one the dead bytes are all that
 * are no live record's, so that `sizeBytes - deadBytes` is what a compaction would have to copy. Parts
 * count the dead records that begin in them, and the first slot the rest.
 *
 * offset | size | field (of the 128 bytes of slot n)
 * ------ | ---- | -----
 *      0 |    8 | segmentNumber: f64, 0 for a free slot
 *      8 |    8 | sizeBytes: f64, of the segment file
 *     16 |    8 | kind: f64; 1 log, 2 value, 3 a further part of an oversized log segment, 4 dropped:
 *        |      |   no record in it counts, its file goes next
 *     24 |    8 | deadBytes: f64, of records that were superseded or deleted; if sealed, see above
 *     32 |    8 | device: f64, of the file
 *     40 |    8 | inode: f64, of the file
 *     48 |    8 | epoch: f64
 *     56 |    8 | unsynced: f64; of a value segment: 1 where no sync has covered it yet, or, while it is
 *        |      |   filled, 2 + the token of who does it
 *     64 |    8 | deadSequence: f64; the last commit by which a record of it died: who sees that commit
 *        |      |   needs none of its dead records
 *     72 |    8 | endBytes: f64, where its records end; 0 before it is sealed
 *     80 |    8 | previous: f64, number of the log segment before; 0 for the first of an epoch
 *     88 |    8 | overheadBytes: f64; if sealed: all that is no put, the unused rest included
 *     96 |    8 | tombstoneBytes: f64; if sealed
 *    104 |    8 | isUsed: f64; of a value segment: 1 once a record referred to it
 *    112 |   16 | reserved: 0
 */
import type { MapAccess, MappingSpace, PlatformFile } from '../platform/platform.js'
import { indexInPiece, pieceOf, Region } from '../platform/region.js'

const firstShift = 10
const elementSizeBytes = 128
const elementDoubles = 16

export const slotNumber = 0
export const slotSizeBytes = 1
export const slotKind = 2
export const slotDeadBytes = 3
export const slotDevice = 4
export const slotInode = 5
export const slotEpoch = 6
export const slotUnsynced = 7
export const slotDeadSequence = 8
export const slotEndBytes = 9
export const slotPrevious = 10
export const slotOverheadBytes = 11
export const slotTombstoneBytes = 12
export const slotIsUsed = 13

export const kindLog = 1
export const kindValue = 2
export const kindPart = 3
export const kindDropped = 4

/** `slotUnsynced` of a value segment that is being filled, less the filler's token. */
export const unsyncedFilling = 2

export class SlotTable {
  readonly region: Region

  constructor(file: PlatformFile, access: MapAccess, space: MappingSpace | undefined) {
    this.region = new Region(file, { firstShift, elementSizeBytes }, access, space)
  }

  get(slot: number, field: number): number {
    const piece = this.region.doubles[pieceOf(slot, firstShift)] ?? this.#map(slot)
    return piece[indexInPiece(slot, firstShift) * elementDoubles + field]
  }

  /** What the file of the segment is called after, also where it is being dropped. */
  fileKindOf(slot: number): 'log' | 'value' {
    const kind = this.get(slot, slotKind)
    // A value has no end that was sealed.
    const isValue =
      kind === kindValue || (kind === kindDropped && this.get(slot, slotEndBytes) === 0)
    return isValue ? 'value' : 'log'
  }

  set(slot: number, field: number, value: number): void {
    const piece = this.region.doubles[pieceOf(slot, firstShift)] ?? this.#map(slot)
    piece[indexInPiece(slot, firstShift) * elementDoubles + field] = value
  }

  add(slot: number, field: number, value: number): void {
    const piece = this.region.doubles[pieceOf(slot, firstShift)] ?? this.#map(slot)
    piece[indexInPiece(slot, firstShift) * elementDoubles + field] += value
  }

  /** A slot that another attachment made room for. */
  #map(slot: number): Float64Array {
    this.region.ensure(slot + 1)
    return this.region.doubles[pieceOf(slot, firstShift)]
  }
}
