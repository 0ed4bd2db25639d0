/**
 * Goal: what the everyday tests of sharing sample, for hours: for `npm run soak`.
 * Method: the same test files, told that there is time.
 * Properties checked: theirs.
 */
process.env.VARVE_THOROUGH = '1'
process.env.VARVE_SHARING_RUNS ??= '5000'

// Imported only now: they ask for it when they are loaded.
await import('../sharing/histories.test.js')
await import('../sharing/counter.test.js')
await import('../sharing/every-step.test.js')
