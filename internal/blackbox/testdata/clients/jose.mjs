// jose: verifies a token of each algorithm, given as JSON, with the published key set alone.
import { createRemoteJWKSet, jwtVerify } from 'jose'

const { ISSUER, TOKENS } = process.env
const keys = createRemoteJWKSet(new URL(`${ISSUER}/.well-known/jwks.json`))

for (const { token, audience, alg, typ } of JSON.parse(TOKENS)) {
  const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer: ISSUER, audience, algorithms: [alg], typ, requiredClaims: ['jti', 'iat', 'exp', 'sub'] })
  console.log(JSON.stringify({ alg: protectedHeader.alg, sub: payload.sub, scope: payload.scope }))
}
