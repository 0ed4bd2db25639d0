/**
 * The control file: the volatile state of an open store, shared through memory by all that have it
 * open. Believed only on the boot that wrote it; another boot makes a new one from the log.
 *
 * offset | size | field
 * ------ | ---- | -----
 *      0 |    8 | magic: "VARVCTRL"
 *      8 |    4 | formatVersion: u32
 *     12 |    4 | commits: the commit word; its lowest bit says which of the two states counts
 *     16 |    4 | session: 1 while a store is open for writing, 0 after a clean close
 *     20 |    4 | poisoned: 0, or 1 after a failed write or sync
 *     24 |   16 | storeId
 *     40 |    8 | epoch: f64
 *     48 |    8 | device: f64 of this file
 *     56 |    8 | inode: f64 of this file
 *     64 |   64 | bootId: text, zero-padded
 *    128 |   64 | mountId: text, zero-padded
 *    192 |  512 | poisonCause: text, zero-padded
 *    704 |   96 | identities: f64 device and inode of buckets, overflow, slots, keyspaces, order, expiry
 *    800 |    8 | writeLimit: f64; behind the tail, nothing was written from this offset on
 *    832 |    4 | writer: who wrote last (generation << 11 | attachment << 1), + 1 while it writes
 *    896 |    4 | bucketCount: u32; that of the state, for readers
 *    900 |    4 | keyspaceGeneration: u32; raised by every change of the registry of keyspaces
 *    904 |    4 | attachmentEnd: u32; attachments ever used
 *    908 |    4 | orderGeneration: u32; raised before the ordered index is built, over an old one perhaps
 *    912 |    4 | slotGeneration: u32; raised when a slot of the log is freed or used again
 *    916 |    4 | expiryRowEnd: u32; rows of `expiry` that are in use
 *    920 |    8 | timeSeen: f64; a record was found expired at this time; only rises
 *    928 |    8 | nextExpiry: f64; no live record expires before; 0 where none does
 *    936 |    4 | applied: u32; 1 once commands were applied: deletes are remembered
 *    944 |    8 | remember: f64; 1 + how many milliseconds they are asked to be; 0 where nobody asked
 *    952 |    4 | watched: u32; 1 while anybody may be watching: nothing is updated in place then
 *    956 |    4 | preparedBy: u32; 1 + the attachment that prepares the next segment, 0 where none does
 *    960 |   64 | libraryVersion: text, zero-padded; of the Varve that signed the file
 *   4096 |  512 | state 0
 *   4608 |  512 | state 1
 *   8192 | 16 Ki | redo 0: what state 0 announces beyond its own fields
 *  24576 | 16 Ki | redo 1
 *  40960 | 64 Ki | attachments: 1024 of 64 bytes, the first one unused
 *
 * A change of more than one word is made in the state that does not count, committed by one store
 * to `current`, and then applied to index and log from what the state announces. Whoever finds a
 * state whose announced change may not be applied in full applies it again: every kind of change
 * is the same when made twice (I7).
 */

export const controlSizeBytes = 106_496

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
export const writeLimitDouble = 100
// Each in a cache line that is not written with every commit.
export const writerWord = 208
export const bucketCountWord = 224
export const keyspaceGenerationWord = 225
export const attachmentEndWord = 226
export const orderGenerationWord = 227
export const slotGenerationWord = 228
export const expiryRowEndWord = 229
export const timeSeenDouble = 115
export const nextExpiryDouble = 116
export const appliedWord = 234
export const rememberDouble = 118
export const watchedWord = 238
export const preparedByWord = 239
export const libraryVersionOffset = 960

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
/**
 * Of a store that may have lost its last changes, the sequences go on this much higher: whoever was told
 * of a change that was lost is told of those that came in its place.
 */
export const sequencesPerLoss: number = 2 ** 32
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
/** 1 where the ordered index has all keys, 0 where it has to be built. */
export const orderBuilt = 20
/** Of a batch that is being applied: address of its frame, 0 for none. */
export const batchFrame = 21
/** Of a batch that is being applied: address of the next of its records. */
export const batchNext = 22
/** Bytes of records, live or dead, in all segments. */
export const usedBytes = 23
/** Address of the record that the last commit wrote. */
export const lastRecord = 24
/** Records that compaction ever moved. */
export const movedRecords = 25
/** How much higher `sequence` is than that of the last record, until a segment says so: see {@link sequencesPerLoss}. */
export const skippedSequences = 26
/** Tombstones that entries of the hash index lead to, because a snapshot sees behind them. */
export const tombstones = 27
/** Address of the oldest of them. */
export const tombstonesFrom = 28
/** Of the tail segment: bytes that are no put's (its header, tombstones, markers, frames of batches) … */
export const tailOverheadBytes = 29
/** … and those of them that are tombstones. */
export const tailTombstoneBytes = 30
export const stateFieldCount = 31

// … the second is the change that it announces.
export const pendingKind = 32
export const pendingHome = 33
export const pendingBucket = 34
export const pendingSlot = 35
export const pendingLow = 36
export const pendingHigh = 37
export const pendingLink = 38
export const pendingTargetSlot = 39
export const pendingSizeWords = 40
export const pendingImageCount = 41
/** Slot whose count of dead bytes changes, -1 for none, and the new count. */
export const pendingDeadSlot = 42
export const pendingDeadBytes = 43
/** Keyspace whose counts change, -1 for none, and the new counts. */
export const pendingKeyspace = 44
export const pendingKeyspaceRecords = 45
export const pendingKeyspaceKeyBytes = 46
export const pendingKeyspaceValueBytes = 47
/** The home bucket that a split made, -1 for none. */
export const pendingSplitHome = 48
/** Slot of a value segment that nothing refers to any more, -1 for none. */
export const pendingDeadValueSlot = 49
export const pendingTargetOffset = 50
/** What the slots of `pendingDeadSlot` and `pendingDeadValueSlot` get as their dead sequence. */
export const pendingDeadSequence = 51
/** Slot of a value segment that a record refers to from now on, -1 for none. */
export const pendingLiveValueSlot = 52
/** First slot of a dropped segment that is freed, -1 for none. */
export const pendingFreedSlot = 54
export const pendingMoveCount = 55
/** 1 where, besides, the patches in the redo area go into pages of the ordered index. */
export const pendingOrder = 53

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
/** `pendingMoveCount` entries get the words that the redo area has for them. */
export const changeMoves = 5
// Of each of these, in 32-bit words: its home bucket, its bucket (an overflow bucket as its negative number), its first
// word there, and its words to be.
export const moveHome = 0
export const moveBucket = 1
export const moveEntry = 2
export const moveLow = 3
export const moveHigh = 4
export const moveWords = 5
/**
 * Who has the store open: an entry for each thread that does, with a lock file of its own that the
 * operating system frees when the thread or process is gone.
 *
 * offset | size | field (of the 64 bytes of attachment n)
 * ------ | ---- | -----
 *      0 |    4 | generation: u32; how often this entry was taken
 *      4 |    4 | isTaken: u32; 1 from attach to detach. Whether its taker lives, the lock tells
 *      8 |    8 | processId: f64
 *     16 |    8 | threadId: f64
 *     24 |    8 | sinceMs: f64; wall clock
 *     32 |    4 | isReadOnly: u32
 *     36 |    4 | nodeVersion: u32; the major version
 *     40 |    8 | pin: f64; 1 + the lowest sequence that a snapshot of it shows, 0 for none
 *     48 |    4 | holds: u32; how many walks of the log it has under way, for which nothing may move
 *     52 |    4 | reserved: 0
 *     56 |    8 | watched: f64; 1 + the lowest sequence that a watcher of it has come to, 0 for none
 */
export const attachmentsOffset = 40_960
export const attachmentSizeBytes = 64
export const attachmentCountMax = 1024
export const attachmentGenerationWord = 0
export const attachmentTakenWord = 1
export const attachmentProcessDouble = 1
export const attachmentThreadDouble = 2
export const attachmentSinceDouble = 3
export const attachmentPinDouble = 5
export const attachmentWatchedDouble = 7
export const attachmentReadOnlyWord = 8
export const attachmentNodeWord = 9
export const attachmentHoldsWord = 12

// The writer's token: 20 bits of generation, 10 of the attachment, 1 for "is writing".
export const tokenBusy = 1
export const tokenAttachmentShift = 1
export const tokenAttachmentMask = attachmentCountMax - 1
export const tokenGenerationShift = 11
