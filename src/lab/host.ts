/** Which process this is, and whether another one of this host still lives: what makes a fail-over a matter of milliseconds instead of a lease. */
import { readFileSync, readlinkSync } from 'node:fs'
import type { Host } from '../engines/cron/elector.ts'

/** Undefined where there is no /proc to tell processes apart: then only time shows that one is dead. */
export function hostOf(): Host | undefined {
  const born = bornAt(process.pid)
  let host: string
  try {
    host = `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return undefined
  }
  if (born === undefined) return undefined
  return {
    self: { pid: process.pid, born, host },
    // Gone, or another program with its number; one that may not be looked at lives.
    alive: (other) => bornAt(other.pid) === other.born,
  }
}

/** When a process began, in clock ticks since boot: with its number, and within one boot, its name for ever. Undefined when there is none, or only its corpse. */
function bornAt(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
