/**
 * Goal: what the everyday tests sample, in full: for `npm run soak`.
 * Method: the same test files, told that there is time: every step and every store of a writer is
 *   stopped at, every bit of the small stores is flipped, many more random operations and kills.
 * Properties checked: theirs.
 */
process.env.VARVE_THOROUGH = '1'

// Imported only now: they ask for it when they are loaded.
await import('../kill/every-store.test.js')
await import('../kill/every-step.test.js')
await import('../kill/move.test.js')
await import('../kill/random-kill.test.js')
await import('../damage/bit-flips.test.js')
await import('../damage/files.test.js')
await import('../model/model.test.js')
