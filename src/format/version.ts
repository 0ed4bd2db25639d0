/** The format of everything on disk. Raised when a file of one version cannot be read by another. */
export const formatVersion = 1

/** As in package.json; a test compares them. All that share a store must be of one version. */
export const libraryVersion = '0.1.0'

/**
 * Feature bits, in three words. A bit this version does not know is ignored if *compatible*, allows
 * reading only if *read-only compatible*, and refuses the store if *incompatible*.
 */
export const knownIncompatibleFeatures = 0
export const knownReadOnlyCompatibleFeatures = 0

/** `little` or the store is refused: every layout is written in the byte order of the machine. */
export const byteOrderMark = 0x01020304

export const hashAlgorithmMarvin32 = 1
export const checksumAlgorithmXxh32 = 1
