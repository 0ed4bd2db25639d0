/** Waiting without an event loop: for others that hold a lock for microseconds, or are dead. */

const nobody = new Int32Array(new SharedArrayBuffer(4))

/** Blocks the thread for `ms` milliseconds, which may be a fraction. */
export function pause(ms: number): void {
  Atomics.wait(nobody, 0, 0, ms)
}
