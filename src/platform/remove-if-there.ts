import { systemErrorCode } from '../base/errors.js'
import type { Platform } from './platform.js'

/** Removes a file that others may remove at the same time. */
export function removeIfThere(platform: Platform, path: string): void {
  if (!platform.exists(path)) return
  try {
    platform.remove(path)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}
