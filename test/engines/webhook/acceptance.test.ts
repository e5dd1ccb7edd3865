/** Every acceptance id of the webhook engine has a scenario of that name. A family (W-TLS-expired, W-TLS-self-signed ...) has one for all its members. */
import { expect, it } from 'vitest'
import { loadScenarios } from '../../../src/lab/units.ts'

const IDS = `
  W-DOWN-2H W-DOWN-2H-ALL W-DOWN-5D W-FLAP W-SLOW-10 W-SLOW-ALL W-TIMEOUT W-500 W-502-504 W-4XX W-408-425 W-410 W-413 W-429-RA W-RA-EVIL W-REDIR W-304 W-300-NOLOC
  W-1XX-FLOOD W-TLS W-DNS W-PARTIAL W-RST-AFTER-BODY W-KEEPALIVE-RACE W-200-LIE W-200-DEFER W-RECONCILE W-GAP W-DUP W-ORDER W-KILL-1 W-KILL-2 W-KILL-3 W-KILL-4 W-KILL-5 W-KILL-6
  W-KILL-7 W-KILL-8 W-KILL-LOOP W-2-DISPATCH W-DISKFULL W-BUSY W-CLOCK W-DLQ-LOAD W-DLQ-KILL W-DLQ-DRY W-DLQ-IDEMP W-POISON-EP W-POISON-MSG W-SKEW W-RETRY-TS W-ROTATE W-ED25519
  W-VECTOR W-BIG-BODY W-NONUTF8 W-BIG-RESP W-GZIP-BOMB W-BIG-HEADERS W-SLOWLORIS W-ANSI W-SSRF W-HDR W-SECRET W-IDEMP W-FANOUT W-RATE W-TPUT W-SHUTDOWN
`.trim().split(/\s+/)

it('every acceptance id has its scenario', async () => {
  const names = new Set((await loadScenarios()).filter(({ engine }) => engine === 'webhook').map(({ name }) => name))
  expect(IDS.filter((id) => !names.has(id))).toEqual([])
  expect(IDS).toHaveLength(69)
})
