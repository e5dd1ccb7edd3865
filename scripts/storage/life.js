// One life of the payment engine on a database file, in virtual time: begun and ended as `resil pay serve` does it.
import { existsSync, statSync } from 'node:fs'
import { silentLog } from '../../dist/events.js'
import { Anchor, verify } from '../../dist/engines/payment/ledger.js'
import { createEngine as referenceEngine } from '../../dist/engines/payment/engine.js'
import { ANCHOR_SUFFIX, openSqlite as referenceStore } from '../../dist/engines/store/sqlite.js'
import { outcomeOf } from '../../dist/network.js'
import { ResilError } from '../../dist/errors.js'
import { Random } from '../../dist/random.js'
import { isDeclined } from './scripts.js'
import { amountOf } from './world.js'

const NODE = 'storage'

/**
 * Opens or creates the file, builds the engine on it and starts its loops. `ask(service, request)` carries a request to the world; its answer comes after
 * `latencyMs()`, half of which passes before the request arrives. `look` is given the file as it was found. `complain` is told what no disk may cause.
 * Throws what the store refuses.
 */
export async function begin({ db, clock, life, ask, latencyMs = () => 0, openSqlite = referenceStore, createEngine = referenceEngine, complain, look = async () => {} }) {
  const random = Random.seeded(`life ${life}`)
  await refuseUnsound(db, clock, random, look)
  const store = await openSqlite(db, { clock, random: random.fork('store') })
  try {
    const engine = await createEngine({ clock, random, network: networkOf(ask, clock, latencyMs), store, log: silentLog, node: NODE, incarnation: life })
    const stop = new AbortController()
    const loops = engine.start(stop.signal).catch((error) => complain(`its loops ended: ${error.code ?? error.message}`))
    const anchor = new Anchor(`${db}${ANCHOR_SUFFIX}`, clock)
    return {
      store,
      /** The answer; 500 for an engine that threw, as its HTTP server makes it. */
      async handle(request) {
        try {
          return await engine.handle(request)
        } catch (error) {
          // That the disk was in trouble is no bug, all else is.
          if (!/^(STORE_|COMMIT_)/.test(error.code)) complain(`${request.method} ${request.path} threw ${error.code ?? error.message}`)
          return { status: 500, headers: {}, body: '{}' }
        }
      },
      /** Remembers the head of the ledger beside the database. Waits for real files, which virtual time does not see: `run` is the clock's, for the rest. */
      async anchor(run) {
        const heads = await run(store.transaction('head', (tx) => tx.query('SELECT seq, hash FROM ledger ORDER BY seq DESC LIMIT 1')).catch(() => []))
        if (heads[0]) anchor.note(heads[0])
        await anchor.close().catch(() => {}) // an anchor that could not be written lags, which is allowed
      },
      async stop() {
        stop.abort()
        await loops
      },
    }
  } catch (error) {
    await store.close().catch(() => {})
    throw error
  }
}

/** The looks of a start: through a connection that cannot write. */
async function refuseUnsound(db, clock, random, look) {
  if (!existsSync(db) || statSync(db).size === 0 || existsSync(`${db}-journal`)) return look(NOTHING)
  const store = await referenceStore(db, { clock, random: random.fork('check'), readOnly: true })
  try {
    const begun = await store.transaction('probe', (tx) => tx.query("SELECT name FROM sqlite_master WHERE name = 'ledger'"))
    await store.transaction('verify', async (tx) => {
      if (begun.length > 0) await verify(tx)
      await new Anchor(`${db}${ANCHOR_SUFFIX}`, clock).check(begun.length > 0 ? tx : NOTHING)
      await look(begun.length > 0 ? tx : NOTHING)
    })
  } finally {
    await store.close()
  }
}

/** What is not there holds no row. */
const NOTHING = { query: async () => [] }

function networkOf(ask, clock, latencyMs) {
  return {
    async call(service, request) {
      const ms = latencyMs()
      if (ms > 0) await clock.sleep(ms / 2)
      const response = await ask(service, request)
      if (ms > 0) await clock.sleep(ms / 2)
      return response.cut ? outcomeOf(new ResilError(response.cut, 'the answer never came'), 1) : { kind: 'ok', value: response }
    },
  }
}

/** Asks until the answer is final, or `tries` times. Every sending and every answer is told to `say`. */
export async function pay({ handle, clock, say, order, tries }) {
  const body = JSON.stringify({ amount: amountOf(order), currency: 'USD', order, card: isDeclined(order) ? 'tok_chargeDeclined' : 'tok_visa' })
  for (let n = 1; n <= tries; n++) {
    say({ sent: order })
    const { status, body: text } = await handle({ method: 'POST', path: '/v1/payments', headers: { 'idempotency-key': `key-${order}` }, body })
    say({ answered: order, response: { status, body: text } })
    if (status === 201 || status === 402) return
    await clock.sleep(1000)
  }
}
