/**
 * The control file: the volatile state of an open store, shared through memory. Believed only on
 * the boot that wrote it; another boot makes a new one from the log.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVCTRL"
 *      8 |    4 | formatVersion: u32
 *     12 |    4 | current: which of the two states counts, 0 or 1 (the commit word)
 *     16 |    4 | session: 1 while a store is open for writing, 0 after a clean close
 *     20 |    4 | poisoned: 0, or 1 after a failed write or sync
 *     24 |   16 | storeId
 *     40 |    8 | epoch: f64
 *     48 |    8 | device: f64 of this file
 *     56 |    8 | inode: f64 of this file
 *     64 |   64 | bootId: text, zero-padded
 *    128 |   64 | mountId: text, zero-padded
 *    192 |  512 | poisonCause: text, zero-padded
 *    704 |   64 | identities: f64 device and inode of the files buckets, overflow, slots, keyspaces
 *    768 |    8 | writeLimit: f64; behind the tail, nothing was written from this offset on
 *   4096 |  512 | state 0
 *   4608 |  512 | state 1
 *   8192 | 16 Ki | redo 0: what state 0 announces beyond its own fields
 *  24576 | 16 Ki | redo 1
 *
 * A change of more than one word is made in the state that does not count, committed by one store
 * to `current`, and then applied to index and log from what the state announces. Whoever finds a
 * state whose announced change may not be applied in full applies it again: every kind of change
 * is the same when made twice (I7).
 */

export const controlSizeBytes = 40_960

export const magicLow = 0x56524156
export const magicHigh = 0x4c525443
export const formatVersionWord = 2
export const currentWord = 3
export const sessionWord = 4
export const poisonedWord = 5
export const storeIdOffset = 24
export const epochDouble = 5
export const deviceDouble = 6
export const inodeDouble = 7
export const bootIdOffset = 64
export const mountIdOffset = 128
export const identitySizeBytes = 64
export const poisonCauseOffset = 192
export const poisonCauseSizeBytes = 512
export const identitiesDouble = 88
export const writeLimitDouble = 96

export const stateDouble = 512
export const stateSizeDoubles = 64
export const redoOffset = 8192
export const redoSizeBytes = 16_384

// Fields of a state, as indexes of doubles. The first block is what the store is …
/** Address at which the next record goes. */
export const tail = 0
/** Slot of the segment that `tail` lies in. */
export const tailSlot = 1
/** Records at or above may be updated in place. */
export const readOnly = 2
/** Everything below survived a completed sync. */
export const durable = 3
/** Address of the oldest record. */
export const begin = 4
/** Sequence of the last commit. */
export const sequence = 5
/** The highest version seen. */
export const version = 6
/** Live keys in all keyspaces, the system's included: the entries of the index. */
export const records = 7
export const keyBytes = 8
export const valueBytes = 9
/** Bytes of the log, and of value segments, that live records take. */
export const liveBytes = 10
export const bucketCount = 11
/** Overflow buckets ever used; bucket 0 is never used. */
export const overflowEnd = 12
/** First of the chain of free overflow buckets, 0 for none. */
export const overflowFree = 13
/** Sum of the checksums of the records since the last marker, low and high 32 bits. */
export const digestLow = 14
export const digestHigh = 15
export const lastMarker = 16
export const nextSegmentNumber = 17
/** Slots ever used. */
export const slotEnd = 18
export const nextKeyspaceId = 19
/** Raised by every change of the registry of keyspaces. */
export const keyspaceGeneration = 20
/** Of a batch that is being applied: address of its frame, 0 for none. */
export const batchFrame = 21
/** Of a batch that is being applied: address of the next of its records. */
export const batchNext = 22
/** Bytes of records, live or dead, in all segments. */
export const usedBytes = 23
/** Address of the record that the last commit wrote. */
export const lastRecord = 24
export const stateFieldCount = 25

// … the second is the change that it announces.
export const pendingKind = 26
export const pendingHome = 27
export const pendingBucket = 28
export const pendingSlot = 29
export const pendingLow = 30
export const pendingHigh = 31
export const pendingLink = 32
export const pendingTargetSlot = 33
export const pendingSizeWords = 34
export const pendingImageCount = 35
/** Slot whose count of dead bytes changes, -1 for none, and the new count. */
export const pendingDeadSlot = 36
export const pendingDeadBytes = 37
/** Keyspace whose counts change, -1 for none, and the new counts. */
export const pendingKeyspace = 38
export const pendingKeyspaceRecords = 39
export const pendingKeyspaceKeyBytes = 40
export const pendingKeyspaceValueBytes = 41
/** The home bucket that a split made, -1 for none. */
export const pendingSplitHome = 42

export const pendingTargetOffset = 44
/** Slot of a value segment that nothing refers to any more, -1 for none. */
export const pendingDeadValueSlot = 43

/** Nothing but the state itself changed. */
export const changeNone = 0
/** One entry of a bucket gets the words `pendingLow` and `pendingHigh`. */
export const changeEntry = 1
/** A full chain gets one more overflow bucket: its last bucket gets the link `pendingLink`. */
export const changeLink = 2
/** The record in the redo area goes over the one at `pendingTargetSlot` and `pendingTargetOffset`. */
export const changeInPlace = 3
/** The bucket images in the redo area go where they say: a split. */
export const changeBuckets = 4
