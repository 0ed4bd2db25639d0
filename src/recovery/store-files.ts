/** The small files of a store that are replaced whole or written once. */
import { join } from 'node:path'
import { corrupt } from '../base/errors.js'
import {
  manifestFileName,
  manifestNextFileName,
  superblockFileName,
  superblockNextFileName,
} from '../format/file-names.js'
import { decodeManifest, encodeManifest, type Manifest } from '../format/manifest.js'
import { decodeSuperblock, encodeSuperblock, type Superblock } from '../format/superblock.js'
import type { Platform } from '../platform/platform.js'
import { readWhole, replaceFile, replaceFileAsync } from '../platform/whole-file.js'

export { readWhole }

export function readSuperblock(
  platform: Platform,
  directory: string,
  readOnly: boolean,
): Superblock {
  const path = join(directory, superblockFileName)
  return decodeSuperblock(readWhole(platform, path), path, readOnly)
}

export function writeSuperblock(
  platform: Platform,
  directory: string,
  superblock: Superblock,
): void {
  const names = { name: superblockFileName, nextName: superblockNextFileName }
  replaceFile(platform, directory, names, encodeSuperblock(superblock))
}

/** The manifest, or undefined where there is none yet. */
export function readManifest(
  platform: Platform,
  directory: string,
  storeId: Uint8Array,
): Manifest | undefined {
  const path = join(directory, manifestFileName)
  if (!platform.exists(path)) return undefined
  const manifest = decodeManifest(readWhole(platform, path), path)
  if (!storeId.every((byte, index) => manifest.storeId[index] === byte)) {
    throw corrupt(path, 8, 'the manifest belongs to another store')
  }
  return manifest
}

export function writeManifest(platform: Platform, directory: string, manifest: Manifest): void {
  const names = { name: manifestFileName, nextName: manifestNextFileName }
  replaceFile(platform, directory, names, encodeManifest(manifest))
}

/** The same without a wait for the medium in this thread. */
export async function writeManifestAsync(
  platform: Platform,
  directory: string,
  manifest: Manifest,
): Promise<void> {
  const names = { name: manifestFileName, nextName: manifestNextFileName }
  await replaceFileAsync(platform, directory, names, encodeManifest(manifest))
}

const copyChunkSizeBytesMax = 1 << 20

/** Puts a file's bytes, as memory has them, into a new file that is synced and takes its place. */
export function copyDurably(platform: Platform, directory: string, path: string): void {
  const next = `${path}.copy`
  if (platform.exists(next)) platform.remove(next)
  const source = platform.openFile(path, 'read')
  const target = platform.openFile(next, 'create')
  try {
    const sizeBytes = source.sizeBytes()
    target.reserve(sizeBytes)
    const chunk = new Uint8Array(Math.min(copyChunkSizeBytesMax, sizeBytes))
    for (let position = 0; position < sizeBytes; position += chunk.byteLength) {
      target.write(chunk.subarray(0, source.read(chunk, position)), position)
    }
    target.syncNow()
  } finally {
    source.close()
    target.close()
  }
  platform.rename(next, path)
  platform.syncDirectory(directory)
}
