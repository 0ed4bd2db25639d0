/**
 * The parts of a store that are believed only on the boot that wrote them: control file, index,
 * slot table, keyspace counts. Opened together, made anew together, trusted together.
 */
import { join } from 'node:path'
import { wrongFormat } from '../base/errors.js'
import { Attachments } from '../control/attachments.js'
import { Control, readText, writeText } from '../control/control.js'
import { KeyspaceCounts } from '../control/keyspace-counts.js'
import * as layout from '../format/control-layout.js'
import {
  bucketsFileName,
  controlFileName,
  expiryFileName,
  keyspacesFileName,
  orderFileName,
  overflowFileName,
  slotsFileName,
  volatileFileNames,
} from '../format/file-names.js'
import { systemKeyspaceId } from '../format/record.js'
import { formatVersion, libraryVersion } from '../format/version.js'
import { HashIndex } from '../index/hash-index.js'
import { OrderedIndex } from '../index/ordered-index.js'
import { ExpiryTable } from '../log/expiry-table.js'
import { SlotTable } from '../log/slot-table.js'
import type { MapAccess, MappingSpace, Platform, PlatformFile } from '../platform/platform.js'

export interface VolatileParts {
  readonly control: Control
  readonly index: HashIndex
  readonly slots: SlotTable
  readonly counts: KeyspaceCounts
  readonly order: OrderedIndex
  readonly expiries: ExpiryTable
  readonly attachments: Attachments
  /** Where all of these, and the segments of the log, are mapped. */
  readonly space: MappingSpace | undefined
}

/** Enough for the segments of a gigabyte, or for 16 small ones. */
const rangeSegments = 16
const rangeSizeBytesMax = 2 ** 30

export function openVolatileParts(
  platform: Platform,
  directory: string,
  segmentSizeBytes: number,
  mode: 'read' | 'write' | 'create',
): VolatileParts {
  const access: MapAccess = mode === 'read' ? 'private' : 'shared'
  const space = platform.createAddressSpace(
    Math.min(rangeSegments * segmentSizeBytes, rangeSizeBytesMax),
  )
  const open = (name: string): PlatformFile => platform.openFile(join(directory, name), mode)
  const control = new Control(open(controlFileName), access, space)
  return {
    control,
    attachments: new Attachments(control, platform, directory),
    index: new HashIndex(
      control,
      { buckets: open(bucketsFileName), overflow: open(overflowFileName) },
      access,
      space,
    ),
    slots: new SlotTable(open(slotsFileName), access, space),
    counts: new KeyspaceCounts(open(keyspacesFileName), access, space),
    order: new OrderedIndex(open(orderFileName), access, space),
    expiries: new ExpiryTable(open(expiryFileName), control, access, space),
    space,
  }
}

/** False also where the control file is cut short: it must not be mapped then. */
export function volatilePartsExist(platform: Platform, directory: string): boolean {
  if (!volatileFileNames.every((name) => platform.exists(join(directory, name)))) return false
  const control = platform.openFile(join(directory, controlFileName), 'read')
  try {
    return control.sizeBytes() >= layout.controlSizeBytes
  } finally {
    control.close()
  }
}

export function removeVolatileParts(platform: Platform, directory: string): void {
  for (const name of volatileFileNames) {
    const path = join(directory, name)
    if (platform.exists(path)) platform.remove(path)
  }
}

/** Makes empty parts for an empty log. */
export function createVolatileParts(
  platform: Platform,
  directory: string,
  segmentSizeBytes: number,
): VolatileParts {
  removeVolatileParts(platform, directory)
  const parts = openVolatileParts(platform, directory, segmentSizeBytes, 'create')
  const { control, counts, index, order, slots } = parts
  slots.region.reserve(2)
  order.initialize()
  counts.region.reserve(systemKeyspaceId + 1)
  control.begin()
  control.commit()
  control.begin()
  index.initialize()
  control.set(layout.nextSegmentNumber, 1)
  control.set(layout.nextKeyspaceId, systemKeyspaceId + 1)
  control.commit()
  index.adoptBucketCount()
  return parts
}

export function closeVolatileParts(parts: VolatileParts): void {
  parts.attachments.give()
  parts.control.close()
  parts.index.homes.close()
  parts.index.overflows.close()
  parts.slots.region.close()
  parts.counts.region.close()
  parts.order.region.close()
  parts.expiries.region.close()
  parts.space?.close()
}

/** Signs the parts as this boot's. Written last, when everything they say is true. */
export function signVolatileParts(
  parts: VolatileParts,
  platform: Platform,
  identity: { readonly directory: string; readonly storeId: Uint8Array; readonly epoch: number },
): void {
  const { control } = parts
  const { device, inode } = control.file.identity()
  control.words[layout.formatVersionWord] = formatVersion
  control.bytes.set(identity.storeId, layout.storeIdOffset)
  control.doubles[layout.epochDouble] = identity.epoch
  control.doubles[layout.deviceDouble] = device
  control.doubles[layout.inodeDouble] = inode
  fileIdentities(parts).forEach((value, index) => {
    control.doubles[layout.identitiesDouble + index] = value
  })
  const { bytes } = control
  const mountId = platform.mountId(identity.directory)
  writeText(bytes, layout.libraryVersionOffset, layout.identitySizeBytes, libraryVersion)
  writeText(bytes, layout.mountIdOffset, layout.identitySizeBytes, mountId)
  writeText(bytes, layout.bootIdOffset, layout.identitySizeBytes, platform.bootId())
  control.words[0] = layout.magicLow
  control.words[1] = layout.magicHigh
}

/** True where the parts were signed on this boot, in these files, for this epoch of the store. */
export function areOfThisBoot(
  parts: VolatileParts,
  platform: Platform,
  identity: { readonly directory: string; readonly storeId: Uint8Array; readonly epoch: number },
): boolean {
  const { control } = parts
  const { bytes, doubles } = control
  const bootId = platform.bootId()
  const { device, inode } = control.file.identity()
  return (
    isSigned(parts, identity.storeId) &&
    bootId !== '' &&
    readText(bytes, layout.bootIdOffset, layout.identitySizeBytes) === bootId &&
    readText(bytes, layout.mountIdOffset, layout.identitySizeBytes) ===
      platform.mountId(identity.directory) &&
    doubles[layout.epochDouble] === identity.epoch &&
    doubles[layout.deviceDouble] === device &&
    doubles[layout.inodeDouble] === inode &&
    areWhole(parts) &&
    fileIdentities(parts).every(
      (value, index) => doubles[layout.identitiesDouble + index] === value,
    )
  )
}

/**
 * Refuses parts that another version of Varve is using right now: what it shares in memory may lie
 * elsewhere than here.
 */
export function requireSameLibrary(parts: VolatileParts, directory: string): void {
  const { bytes, words } = parts.control
  const other = readText(bytes, layout.libraryVersionOffset, layout.identitySizeBytes)
  if (words[layout.formatVersionWord] === formatVersion && other === libraryVersion) return
  throw wrongFormat(
    directory,
    `it is open in Varve ${other === '' ? 'of another version' : other}, and this is Varve ${libraryVersion}; all that have a store open at once must be of one version`,
  )
}

/** True for parts of this store, of whatever boot. */
export function isSigned(
  { control }: Pick<VolatileParts, 'control'>,
  storeId: Uint8Array,
): boolean {
  const { words, bytes } = control
  return (
    words[0] === layout.magicLow &&
    words[1] === layout.magicHigh &&
    words[layout.formatVersionWord] === formatVersion &&
    storeId.every((byte, index) => bytes[layout.storeIdOffset + index] === byte)
  )
}

/** True where they were signed before the machine was started. */
export function isOfOtherBoot(
  { control }: Pick<VolatileParts, 'control'>,
  platform: Platform,
): boolean {
  const now = platform.bootId()
  const then = readText(control.bytes, layout.bootIdOffset, layout.identitySizeBytes)
  return now !== '' && then !== '' && then !== now
}

/** True where every file is as long as what the state says it holds. */
function areWhole(parts: VolatileParts): boolean {
  const { control, counts, index, slots } = parts
  const needs = [
    [index.homes, control.get(layout.bucketCount)],
    [index.overflows, control.get(layout.overflowEnd)],
    [slots.region, control.get(layout.slotEnd)],
    [counts.region, control.get(layout.nextKeyspaceId)],
    [parts.order.region, 2],
    [parts.expiries.region, control.words[layout.expiryRowEndWord]],
  ] as const
  return needs.every(([region, count]) => region.reservedCount >= count)
}

function fileIdentities(parts: VolatileParts): number[] {
  const { counts, expiries, index, order, slots } = parts
  const regions = [
    ...[index.homes, index.overflows, slots.region, counts.region, order.region],
    expiries.region,
  ]
  return regions.flatMap(({ file }) => {
    const { device, inode } = file.identity()
    return [device, inode]
  })
}
