/**
 * Goal: a million crash states and more, every call that can fail, every two sectors: for `npm run soak`.
 * Method: the everyday test files, told that there is time.
 * Properties checked: theirs.
 */
process.env.VARVE_THOROUGH = '1'

// Imported only now: they ask for it when they are loaded.
await import('../crash/crash-states-mmap.test.js')
await import('../crash/crash-states-file.test.js')
await import('../crash/every-call.test.js')
await import('../crash/sectors.test.js')
