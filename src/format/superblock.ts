/**
 * The superblock: who this store is and how its bytes are to be read. Written once, when the store
 * is created, and never again; two copies of 4 KiB, either of which is enough.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVSTOR"
 *      8 |    4 | formatVersion: u32
 *     12 |    4 | byteOrder: u32 0x01020304
 *     16 |    4 | compatible features
 *     20 |    4 | read-only compatible features
 *     24 |    4 | incompatible features
 *     28 |    4 | hashAlgorithm: 1 Marvin32
 *     32 |    4 | checksumAlgorithm: 1 XXH32
 *     36 |    4 | segmentShift: u32, log2 of the 8-byte words in a segment
 *     40 |   16 | storeId
 *     56 |   16 | lineageId: new when a store begins as a copy of another
 *     72 |    4 | hashSeedLow
 *     76 |    4 | hashSeedHigh
 *     80 |    8 | createdAtMs: f64
 *     88 | 4004 | reserved: 0, checked
 *   4092 |    4 | checksum: XXH32 of the 4,092 bytes before
 */
import { checksumBytes } from '../base/checksum.js'
import { corrupt, wrongFormat } from '../base/errors.js'
import {
  byteOrderMark,
  checksumAlgorithmXxh32,
  formatVersion,
  hashAlgorithmMarvin32,
  knownIncompatibleFeatures,
  knownReadOnlyCompatibleFeatures,
} from './version.js'

const copySizeBytes = 4096
export const superblockSizeBytes = 2 * copySizeBytes
const magic = new Uint8Array([0x56, 0x41, 0x52, 0x56, 0x53, 0x54, 0x4f, 0x52])
const formatVersionOffset = 8
const byteOrderOffset = 12
const readOnlyCompatibleOffset = 20
const incompatibleOffset = 24
const hashAlgorithmOffset = 28
const checksumAlgorithmOffset = 32
const segmentShiftOffset = 36
const storeIdOffset = 40
const lineageIdOffset = 56
const hashSeedLowOffset = 72
const hashSeedHighOffset = 76
const createdAtOffset = 80
const reservedOffset = 88
const checksumOffset = 4092
const reservedZeros = new Uint8Array(checksumOffset - reservedOffset)

export interface Superblock {
  readonly segmentShift: number
  readonly storeId: Uint8Array
  readonly lineageId: Uint8Array
  readonly hashSeedLow: number
  readonly hashSeedHigh: number
  readonly createdAtMs: number
}

export function isSameId(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => b[index] === byte)
}

/** Bytes of a segment of ordinary size. */
export function segmentSizeOf(superblock: Superblock): number {
  return 2 ** superblock.segmentShift * 8
}

export function encodeSuperblock(superblock: Superblock): Uint8Array {
  const bytes = new Uint8Array(superblockSizeBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(magic)
  view.setUint32(formatVersionOffset, formatVersion, true)
  view.setUint32(byteOrderOffset, byteOrderMark, true)
  view.setUint32(hashAlgorithmOffset, hashAlgorithmMarvin32, true)
  view.setUint32(checksumAlgorithmOffset, checksumAlgorithmXxh32, true)
  view.setUint32(segmentShiftOffset, superblock.segmentShift, true)
  bytes.set(superblock.storeId, storeIdOffset)
  bytes.set(superblock.lineageId, lineageIdOffset)
  view.setInt32(hashSeedLowOffset, superblock.hashSeedLow, true)
  view.setInt32(hashSeedHighOffset, superblock.hashSeedHigh, true)
  view.setFloat64(createdAtOffset, superblock.createdAtMs, true)
  view.setInt32(checksumOffset, checksumBytes(bytes.subarray(0, checksumOffset), 0), true)
  bytes.copyWithin(copySizeBytes, 0, copySizeBytes)
  return bytes
}

/**
 * Reads the first copy that verifies. The magic is looked at before anything else, so that a
 * foreign file is called foreign and not damaged.
 */
export function decodeSuperblock(bytes: Uint8Array, file: string, readOnly: boolean): Superblock {
  const own = copiesOf(bytes).filter(hasMagic)
  if (own.length === 0) throw wrongFormat(file, 'it does not begin as a Varve store does')
  const intact = own.find(isIntact)
  if (intact === undefined) throw corrupt(file, 0, 'neither copy of the superblock verifies')
  return decodeCopy(intact, file, readOnly)
}

/** True where a copy that verifies says who the store is, in whatever version of the format. */
export function hasIntactSuperblock(bytes: Uint8Array): boolean {
  return copiesOf(bytes).some((copy) => hasMagic(copy) && isIntact(copy))
}

function copiesOf(bytes: Uint8Array): Uint8Array[] {
  return [bytes.slice(0, copySizeBytes), bytes.slice(copySizeBytes, superblockSizeBytes)]
}

function hasMagic(copy: Uint8Array): boolean {
  return magic.every((byte, index) => copy[index] === byte)
}

function isIntact(copy: Uint8Array): boolean {
  if (copy.byteLength !== copySizeBytes) return false
  const stored = new DataView(copy.buffer).getInt32(checksumOffset, true)
  return checksumBytes(copy.subarray(0, checksumOffset), 0) === stored
}

function decodeCopy(copy: Uint8Array, file: string, readOnly: boolean): Superblock {
  const view = new DataView(copy.buffer)
  const version = view.getUint32(formatVersionOffset, true)
  if (version !== formatVersion) {
    throw wrongFormat(file, `it has format version ${version}, this is ${formatVersion}`)
  }
  if (view.getUint32(byteOrderOffset, true) !== byteOrderMark) {
    throw wrongFormat(file, 'it was written in another byte order')
  }
  const incompatible = view.getUint32(incompatibleOffset, true) & ~knownIncompatibleFeatures
  if (incompatible !== 0) {
    throw wrongFormat(file, `it needs features that this version does not know (${incompatible})`)
  }
  const readOnlyCompatible =
    view.getUint32(readOnlyCompatibleOffset, true) & ~knownReadOnlyCompatibleFeatures
  if (readOnlyCompatible !== 0 && !readOnly) {
    throw wrongFormat(file, `this version can only read it (features ${readOnlyCompatible})`)
  }
  if (view.getUint32(hashAlgorithmOffset, true) !== hashAlgorithmMarvin32) {
    throw wrongFormat(file, 'its keys are hashed in a way that this version does not know')
  }
  if (view.getUint32(checksumAlgorithmOffset, true) !== checksumAlgorithmXxh32) {
    throw wrongFormat(file, 'its checksums are of a kind that this version does not know')
  }
  if (Buffer.compare(copy.subarray(reservedOffset, checksumOffset), reservedZeros) !== 0) {
    throw wrongFormat(file, 'the superblock uses fields that this version does not know')
  }
  return {
    segmentShift: view.getUint32(segmentShiftOffset, true),
    storeId: copy.slice(storeIdOffset, storeIdOffset + 16),
    lineageId: copy.slice(lineageIdOffset, lineageIdOffset + 16),
    hashSeedLow: view.getInt32(hashSeedLowOffset, true),
    hashSeedHigh: view.getInt32(hashSeedHighOffset, true),
    createdAtMs: view.getFloat64(createdAtOffset, true),
  }
}
