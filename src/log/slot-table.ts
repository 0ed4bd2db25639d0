/**
 * Which segment lies in which slot, in memory beside the control file. An index entry names a slot
 * and not a segment number, because a slot fits its bits; slots are reused, numbers never.
 *
 * offset | size | field (of the 128 bytes of slot n)
 * ------ | ---- | -----
 *      0 |    8 | segmentNumber: f64, 0 for a free slot
 *      8 |    8 | sizeBytes: f64, of the segment file
 *     16 |    8 | kind: f64; 1 log, 2 value, 3 a further part of an oversized log segment
 *     24 |    8 | deadBytes: f64, of records that were superseded or deleted
 *     32 |    8 | device: f64, of the file
 *     40 |    8 | inode: f64, of the file
 *     48 |    8 | epoch: f64
 *     56 |    8 | unsynced: f64; 1 for a value segment that no sync has covered yet
 *     64 |    8 | endBytes: f64; where the records of a log segment that is full end, 0 before that
 *     72 |   56 | reserved: 0
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
export const slotEndBytes = 8

export const kindLog = 1
export const kindValue = 2
export const kindPart = 3

export class SlotTable {
  readonly region: Region

  constructor(file: PlatformFile, access: MapAccess, space: MappingSpace | undefined) {
    this.region = new Region(file, { firstShift, elementSizeBytes }, access, space)
  }

  get(slot: number, field: number): number {
    const piece = this.region.doubles[pieceOf(slot, firstShift)] ?? this.#map(slot)
    return piece[indexInPiece(slot, firstShift) * elementDoubles + field]
  }

  set(slot: number, field: number, value: number): void {
    const piece = this.region.doubles[pieceOf(slot, firstShift)] ?? this.#map(slot)
    piece[indexInPiece(slot, firstShift) * elementDoubles + field] = value
  }

  /** A slot that another attachment made room for. */
  #map(slot: number): Float64Array {
    this.region.ensure(slot + 1)
    return this.region.doubles[pieceOf(slot, firstShift)]
  }
}
