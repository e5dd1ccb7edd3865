/** Connections that end with a RST. */
import type { Socket } from 'node:net'

/**
 * Ends a connection with a RST, at once; also one whose end is just being told (`end()`, and all has been written): Node cannot reset it in that moment, takes
 * it for closed and keeps its handle open for ever. Then the RST follows once the FIN has left, in the next turn of the loop.
 */
export function reset(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished && socket.writableLength === 0 && !socket.destroyed
  if (isEnding) socket.once('finish', () => socket.resetAndDestroy())
  else socket.resetAndDestroy()
}
