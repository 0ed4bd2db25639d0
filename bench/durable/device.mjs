/**
 * A device whose syncs all take as long, in the place of the real one: what a store adds to a sync can then be
 * compared between machines, and between hours of one. Files are best in memory (`--dir /dev/shm`).
 */
import fs from 'node:fs'
import { createRequire, syncBuiltinESMExports } from 'node:module'

/** From here on an asynchronous fdatasync of this process waits so long in a thread of its own, and does nothing. */
export function standInForDevice(waitUs) {
  const koffi = createRequire(import.meta.url)('koffi')
  const usleep = koffi.load('libc.so.6').func('int usleep(uint32_t)')
  fs.fdatasync = (_fd, callback) => usleep.async(waitUs, (error) => callback(error))
  syncBuiltinESMExports()
}
