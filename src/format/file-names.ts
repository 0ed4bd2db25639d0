/** Every name the store creates in its directory, and the parser of those names. */

export const superblockFileName = 'superblock'
export const manifestFileName = 'manifest'
/** A new manifest is written here, synced, and renamed over the old one. */
export const manifestNextFileName = 'manifest.next'
/** A new superblock is written here, synced, and renamed: a store exists when that is done. */
export const superblockNextFileName = 'superblock.next'
/** Volatile, with the six after it: believed only on the boot that wrote it. */
export const controlFileName = 'control'
export const bucketsFileName = 'buckets'
export const overflowFileName = 'overflow'
export const slotsFileName = 'slots'
export const keyspacesFileName = 'keyspaces'
export const orderFileName = 'order'
export const expiryFileName = 'expiry'
export const volatileFileNames: readonly string[] = [
  controlFileName,
  bucketsFileName,
  overflowFileName,
  slotsFileName,
  keyspacesFileName,
  orderFileName,
  expiryFileName,
]
/** Held, shared or alone, by whoever has the store open. */
export const lockFileName = 'lock'
/** Held for the moment of attaching and of detaching, and for a recovery. */
export const lifecycleFileName = 'lifecycle'
/** Held by the one that builds the ordered index. */
export const buildFileName = 'build'
/** Held by the one that compacts. */
export const compactFileName = 'compact'
/** Held by the one that does the background work of all. */
export const backgroundFileName = 'background'
/** Held by the one that makes a checkpoint. */
export const checkpointLockFileName = 'checkpoint'
/** A checkpoint is written here, synced, and renamed. */
export const checkpointNextFileName = 'checkpoint.next'

export type SegmentKind = 'log' | 'value'

const numberDigits = 16
const segmentPattern = /^(segment|value)-(\d{16})$/

export function segmentFileName(kind: SegmentKind, segmentNumber: number): string {
  const prefix = kind === 'log' ? 'segment' : 'value'
  return `${prefix}-${String(segmentNumber).padStart(numberDigits, '0')}`
}

const attachmentPattern = /^(attachment|prepared)-(\d{4})$/

/** Locked by the one that has this entry of the table of attachments. */
export function attachmentFileName(attachment: number): string {
  return `attachment-${String(attachment).padStart(4, '0')}`
}

/** A segment that an attachment prepares; it gets its number when it is put to use. */
export function preparedFileName(attachment: number): string {
  return `prepared-${String(attachment).padStart(4, '0')}`
}

export function isPreparedFileName(name: string): boolean {
  return attachmentPattern.exec(name)?.[1] === 'prepared'
}

/** True for names of files that only serve those who have the store open. */
export function isAttachmentFileName(name: string): boolean {
  return attachmentPattern.test(name)
}

/** The kind and number of a segment file, or undefined for any other name. */
export function parseSegmentFileName(
  name: string,
): { kind: SegmentKind; segmentNumber: number } | undefined {
  const match = segmentPattern.exec(name)
  if (match === null) return undefined
  return { kind: match[1] === 'segment' ? 'log' : 'value', segmentNumber: Number(match[2]) }
}

const checkpointPattern = /^checkpoint-(\d{16})$/

/** An address has no more digits than this. */
export function checkpointFileName(id: number): string {
  return `checkpoint-${String(id).padStart(numberDigits, '0')}`
}

/** The id of a checkpoint file, or undefined for any other name. */
export function parseCheckpointFileName(name: string): number | undefined {
  const match = checkpointPattern.exec(name)
  return match === null ? undefined : Number(match[1])
}
