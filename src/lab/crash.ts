/**
 * One life of a node: everything that crosses its boundary is counted, and at a chosen crossing it dies.
 *
 *   tx:NAME   a store transaction     before: nothing of it happened   after: it is committed, nobody was told
 *   call:NAME a remote call           before: not a byte was sent      after: the answer came back, nothing was done with it
 *   answer    an answer to a client   before: the client sees a reset  after: the client has it, the node is dead
 *
 * A dead life does nothing any more: what it waited for never comes, so no `finally` can tidy up after its death.
 */
import type { Clock } from '../clock.ts'
import { ResilError } from '../errors.ts'
import type { CallOptions, HttpRequest, Network, Service } from '../network.ts'
import { connectionCut } from '../network.ts'
import type { CrashPoint, PausePoint, StoreFault } from '../scenario.ts'
import type { Migration, Store, Tx } from '../engines/store/store.ts'

/** Of its own for each wait: whatever waits for a promise that all share is kept for as long as the process lives. */
const never = () => new Promise<never>(() => {})

/** Thrown inside a transaction whose life ended while it waited in the queue: it is rolled back. */
class Dead extends Error {
  override name = 'Dead'
}

/** What may be armed at a crossing. */
export type FaultPoint = CrashPoint | PausePoint | StoreFault

export interface LifeSetup {
  /** The world's, not the node's: it goes on when the node stands still. */
  clock: Clock
  /** Ends the life: called at most once, with the site, before the crossing goes on. */
  onDeath(site: string): void
  /** Told about every place where it could have died, as it passes it, for enumerations. */
  onCrossing?(point: CrashPoint): void
  /** Stands still at a crossing: whoever is told pauses the node, and resumes it later. */
  onPause?(point: PausePoint): void
  /** Told when a transaction went wrong as it was armed to. */
  onSpoilt(fault: StoreFault): void
  points: readonly FaultPoint[]
}

export class Life {
  readonly #setup: LifeSetup
  readonly #points: FaultPoint[]
  readonly #counts = new Map<string, number>()
  #dead = false
  #stopped: Promise<void> | undefined
  #resume: () => void = () => {}
  #onDeath = new Set<() => void>()

  constructor(setup: LifeSetup) {
    this.#setup = setup
    this.#points = [...setup.points]
  }

  get dead(): boolean {
    return this.#dead
  }

  /** Dies, or has its store spoilt, at the n-th crossing from now on. */
  arm(point: FaultPoint): void {
    this.#points.push({ ...point, nth: point.nth + (this.#counts.get(point.site) ?? 0) })
  }

  /** What was armed and has not struck yet never will. */
  disarm(): void {
    this.#points.length = 0
  }

  /** Stands still like a stopped process: what comes to it, or back to it, waits until it is resumed. */
  pause(): void {
    this.#stopped ??= new Promise((resolve) => (this.#resume = resolve))
  }

  resume(): void {
    this.#stopped = undefined
    this.#resume()
  }

  /** Dies now. */
  die(site: string): void {
    if (this.#dead) return
    this.#dead = true
    this.#setup.onDeath(site)
    for (const tell of [...this.#onDeath]) tell()
    this.#onDeath.clear()
  }

  store(inner: Store): Store {
    // eslint-disable-next-line typescript/no-this-alias -- a getter has a `this` of its own
    const life = this
    return {
      get insideTransaction() {
        return inner.insideTransaction
      },
      transaction<T>(name: string, work: (tx: Tx) => Promise<T>): Promise<T> {
        const site = `tx:${name}`
        return life.#cross(site, (nth) =>
          life.#spoilt(site, nth, () =>
            inner.transaction(name, (tx) => {
              if (life.#dead) return Promise.reject(new Dead())
              return work(tx)
            }),
          ),
        )
      },
      migrate: (migrations: readonly Migration[]) => inner.migrate(migrations),
      close: () => inner.close(),
    }
  }

  /** `nameOf` tells the name of what is called, where it is called by its address. */
  network(inner: Network, nameOf: (service: string) => string = (service) => service): Network {
    return { call: (service: string, request: HttpRequest, options: CallOptions) => this.#cross(`call:${nameOf(service)}`, () => inner.call(service, request, options)) }
  }

  /** Its clients: they see a reset when it dies under them. */
  handle(inner: Service): Service {
    return async (request, gone) => {
      if (this.#dead) throw connectionCut('the node is dead')
      while (this.#stopped) await this.#orDeath(this.#stopped)
      const response = await this.#orDeath(inner(request, gone))
      if (this.#dead) throw connectionCut('the node died in the turn in which it would have answered')
      const nth = this.#count('answer')
      this.#setup.onCrossing?.({ site: 'answer', nth, when: 'before' })
      if (this.#strikes('answer', nth, 'before')) {
        this.die('answer:before')
        throw connectionCut('the node died before it answered')
      }
      // At the end of the turn: a death now would tear the answer from the connection.
      if (this.#setup.onCrossing || this.#strikes('answer', nth, 'after')) this.#setup.clock.after(0, () => this.#after('answer', nth))
      return response
    }
  }

  async #cross<T>(site: string, inner: (nth: number) => Promise<T>): Promise<T> {
    while (this.#stopped && !this.#dead) await this.#stopped
    if (this.#dead) return never()
    const nth = this.#count(site)
    this.#setup.onCrossing?.({ site, nth, when: 'before' })
    if (this.#strikes(site, nth, 'before')) {
      this.die(`${site}:before`)
      return never()
    }
    this.#standStill(site, nth, 'before')
    while (this.#stopped && !this.#dead) await this.#stopped
    if (this.#dead) return never()
    try {
      return await inner(nth)
    } finally {
      this.#standStill(site, nth, 'after')
      while (this.#stopped && !this.#dead) await this.#stopped
      this.#after(site, nth)
      if (this.#dead) await never()
    }
  }

  #after(site: string, nth: number): void {
    if (this.#dead) return
    this.#setup.onCrossing?.({ site, nth, when: 'after' })
    if (this.#strikes(site, nth, 'after')) this.die(`${site}:after`)
  }

  #standStill(site: string, nth: number, when: CrashPoint['when']): void {
    const point = this.#points.find((each): each is PausePoint => 'pauseMs' in each && each.site === site && each.nth === nth && each.when === when)
    if (point && !this.#dead) this.#setup.onPause?.(point)
  }

  async #spoilt<T>(site: string, nth: number, inner: () => Promise<T>): Promise<T> {
    const fault = this.#points.find((point): point is StoreFault => 'how' in point && point.site === site && point.nth === nth)
    if (!fault) return inner()
    this.#setup.onSpoilt(fault)
    if (fault.how === 'full') throw new ResilError('STORE_FULL', 'the laboratory filled the disk')
    if (fault.how === 'gone') throw new ResilError('STORE_REPLACED', 'the laboratory deleted the file while it was open')
    if (fault.how === 'corrupt') throw new ResilError('STORE_CORRUPT', 'the laboratory damaged the file')
    if (fault.how === 'slow' || fault.how === 'busy') await this.#setup.clock.sleep(fault.ms ?? 0)
    if (fault.how === 'busy') throw new ResilError('STORE_BUSY', 'the laboratory held the lock')
    const result = await inner()
    if (fault.how === 'in_doubt') throw new ResilError('COMMIT_UNKNOWN', 'the laboratory made an error of a commit that went well')
    return result
  }

  #count(site: string): number {
    const nth = (this.#counts.get(site) ?? 0) + 1
    this.#counts.set(site, nth)
    return nth
  }

  #strikes(site: string, nth: number, when: CrashPoint['when']): boolean {
    return this.#points.some((point) => 'when' in point && !('pauseMs' in point) && point.site === site && point.nth === nth && point.when === when)
  }

  #orDeath<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const die = () => reject(connectionCut('the node died'))
      this.#onDeath.add(die)
      const done = () => this.#onDeath.delete(die)
      work.then(
        (value) => {
          done()
          resolve(value)
        },
        (error: unknown) => {
          done()
          reject(error)
        },
      )
    })
  }
}
