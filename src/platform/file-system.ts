/**
 * Which file systems may be mapped. Over a network a mapping is not one memory for all machines,
 * and on copy-on-write file systems reserved blocks do not keep a full disk from striking at a
 * store instruction, where it is a signal and not an error. There the `file` back end is used.
 */
import { existsSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'

/** Magic numbers of `statfs(2)`, from the Linux headers `linux/magic.h` and the named projects. */
const unmappable: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9P'],
  [0x65735546, 'FUSE'],
  [0x00c36400, 'Ceph'],
  [0x0bd00bd0, 'Lustre'],
  [0x01161970, 'GFS2'],
  [0x7461636f, 'OCFS2'],
  [0x5346414f, 'AFS'],
  [0x9123683e, 'Btrfs'],
  [0x2fc12fc1, 'ZFS'],
])

/** The name of the file system that `directory` lies on, or will, if it must not be mapped. */
export function unmappableFileSystem(directory: string): string | undefined {
  if (process.platform !== 'linux') return undefined
  let existing = directory
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing)
  return unmappable.get(statfsSync(existing).type >>> 0)
}
