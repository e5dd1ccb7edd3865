/** A service that declines every payment without asking its bank. */
import { createServer } from 'node:http'

const server = createServer((_, response) => response.writeHead(402, { 'content-type': 'application/json' }).end('{"error":"no"}'))
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
