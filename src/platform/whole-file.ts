/** Files that are small enough to be read, and replaced, whole. */
import { join } from 'node:path'
import type { Platform, PlatformFile } from './platform.js'

export interface ReplacedNames {
  readonly name: string
  /** Of the file that is written beside and renamed. */
  readonly nextName: string
}

export function readWhole(platform: Platform, path: string): Uint8Array {
  const file = platform.openFile(path, 'read')
  try {
    const bytes = new Uint8Array(file.sizeBytes())
    return bytes.subarray(0, file.read(bytes, 0))
  } finally {
    file.close()
  }
}

/**
 * Writes a file beside, syncs it, renames it into place, and syncs the directory: whoever dies in
 * the middle leaves the old file or the new one, whole.
 */
export function replaceFile(
  platform: Platform,
  directory: string,
  names: ReplacedNames,
  bytes: Uint8Array,
): void {
  const file = writeBeside(platform, directory, names, bytes)
  try {
    file.syncNow()
  } finally {
    file.close()
  }
  platform.rename(join(directory, names.nextName), join(directory, names.name))
  platform.syncDirectory(directory)
}

/** {@link replaceFile} without a wait for the medium in this thread. */
export async function replaceFileAsync(
  platform: Platform,
  directory: string,
  names: ReplacedNames,
  bytes: Uint8Array,
): Promise<void> {
  const file = writeBeside(platform, directory, names, bytes)
  try {
    await file.sync()
  } finally {
    file.close()
  }
  platform.rename(join(directory, names.nextName), join(directory, names.name))
  await platform.syncDirectoryAsync(directory)
}

function writeBeside(
  platform: Platform,
  directory: string,
  names: ReplacedNames,
  bytes: Uint8Array,
): PlatformFile {
  const next = join(directory, names.nextName)
  if (platform.exists(next)) platform.remove(next)
  const file = platform.openFile(next, 'create')
  try {
    file.reserve(bytes.byteLength)
    file.write(bytes, 0)
    return file
  } catch (error) {
    file.close()
    platform.remove(next)
    throw error
  }
}
