import { keepSending } from '../deaths.ts'
import { ALWAYS } from '../stage.ts'
import type { WebhookScenario } from '../stage.ts'

const GIVEN = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
const BAD = `whsec_${Buffer.alloc(8, 7).toString('base64')}`

export const scenario: WebhookScenario = {
  name: 'W-SECRET',
  summary: 'secrets are made, rotated, revoked and used under load, and a node dies among it: none of them stands in an event, or in a table of the database',
  engine: 'webhook',
  customers: 2,
  invariants: ALWAYS,
  toxics: [],
  failures: [{ component: 'client', mode: 'byzantine' }],
  needsProcess: true,
  async drive(world) {
    const told = world.tally((event) => holdsSecret(JSON.stringify(event), known))
    const known: string[] = []
    const { id } = await world.subscribe('customer-1', { secret: GIVEN })
    known.push(GIVEN)
    await world.subscribe('customer-2', { signature: 'v1a' })
    await using flow = keepSending(world, 20)
    await world.clock.sleep(1000)
    for (const overlapMs of [60_000, 0]) {
      const { secret } = await world.endpoints.rotate(id, { overlapMs, who: 'operator', why: 'it is time' })
      known.push(secret)
      world.trust('customer-1', known)
      await world.clock.sleep(1000)
    }
    const wrong = await world.endpoints.add({ url: 'https://customer-1.example/hook', secret: BAD }).then(() => 'taken', (error: unknown) => String((error as Error).message))
    world.expect('a secret that is none is refused, and not repeated', wrong !== 'taken' && !wrong.includes(BAD.slice(6)), wrong)
    for (const mood of [{ kind: 'error', status: 500 }, { kind: 'lie_200' }, { kind: 'healthy' }]) {
      world.mood('customer-1', mood)
      await world.clock.sleep(500)
    }
    await world.kill('n1')
    await world.restart('n1')
    await world.clock.sleep(2000)
    await flow.stop()
    world.expect('all comes to rest', await world.settled(60_000), JSON.stringify(await world.counts()))
    const tables = await world.store.transaction('look', (tx) => tx.query<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"))
    let rows = 0
    const holding: string[] = []
    for (const { name } of tables) {
      for (const row of await world.store.transaction('look', (tx) => tx.query<Record<string, unknown>>(`SELECT * FROM "${name}"`))) {
        rows++
        if (holdsSecret(JSON.stringify(row), known)) holding.push(name)
      }
    }
    world.expect('none stands in the database', holding.length === 0 && rows > 100, `${rows} rows of ${tables.length} tables${holding.length > 0 ? `, and ${holding[0]} holds one` : ''}`)
    world.expect('none is told in an event', told() === 0, `${told()} events tell one`)
    const shown = [...(await world.endpoints.list()), ...(await world.endpoints.secrets(id))]
    world.expect('none is shown again', !holdsSecret(JSON.stringify(shown), known), `${shown.length} rows shown`)
  },
}

/** By its beginning, or by what is behind that, which may stand alone. */
function holdsSecret(text: string, known: readonly string[]): boolean {
  return /wh(sec|sk)_[A-Za-z0-9+/]{8}/.test(text) || known.some((secret) => text.includes(secret.slice(6)))
}
