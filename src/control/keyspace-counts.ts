/**
 * Live records, key bytes and value bytes of every keyspace, in memory beside the control file.
 *
 * offset | size | field (of the 32 bytes of keyspace n)
 * ------ | ---- | -----
 *      0 |    8 | records: f64
 *      8 |    8 | keyBytes: f64
 *     16 |    8 | valueBytes: f64
 *     24 |    8 | reserved: 0
 */
import type { MapAccess, MappingSpace, PlatformFile } from '../platform/platform.js'
import { indexInPiece, pieceOf, Region } from '../platform/region.js'

const firstShift = 8
const elementSizeBytes = 32
const elementDoubles = 4

export class KeyspaceCounts {
  readonly region: Region

  constructor(file: PlatformFile, access: MapAccess, space: MappingSpace | undefined) {
    this.region = new Region(file, { firstShift, elementSizeBytes }, access, space)
  }

  get(keyspaceId: number, field: 0 | 1 | 2): number {
    const piece = this.#piece(keyspaceId)
    return piece[indexInPiece(keyspaceId, firstShift) * elementDoubles + field]
  }

  set(keyspaceId: number, records: number, keyBytes: number, valueBytes: number): void {
    const piece = this.#piece(keyspaceId)
    const first = indexInPiece(keyspaceId, firstShift) * elementDoubles
    piece[first] = records
    piece[first + 1] = keyBytes
    piece[first + 2] = valueBytes
  }

  /** Of a keyspace that has room; what is added may be negative. */
  add(keyspaceId: number, records: number, keyBytes: number, valueBytes: number): void {
    const piece = this.#piece(keyspaceId)
    const first = indexInPiece(keyspaceId, firstShift) * elementDoubles
    piece[first] += records
    piece[first + 1] += keyBytes
    piece[first + 2] += valueBytes
  }

  #piece(keyspaceId: number): Float64Array {
    const piece = pieceOf(keyspaceId, firstShift)
    if (this.region.doubles[piece] === undefined) this.region.ensure(keyspaceId + 1)
    return this.region.doubles[piece]
  }
}
