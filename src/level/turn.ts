/** A turn of the event loop: what runs long between two of them lets timers and sockets wait. */
export function turnOfEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
