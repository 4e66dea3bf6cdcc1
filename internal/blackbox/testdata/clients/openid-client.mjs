// openid-client 6: discovery and the client credentials grant, with a secret and with a key.
import * as client from 'openid-client'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PRIVATE_JWK, PRIVATE_CLIENT_ID, AUDIENCE, API } = process.env

async function call(id, auth, algorithm) {
  const config = await client.discovery(new URL(ISSUER), id, undefined, auth, { execute: [client.allowInsecureRequests], algorithm })
  const token = await client.clientCredentialsGrant(config, { scope: 'read:a', audience: AUDIENCE })
  if (token.expiresIn() <= 0) throw new Error('the token has no time to live')
  const res = await client.fetchProtectedResource(config, token.access_token, new URL(API), 'GET')
  console.log(JSON.stringify(await res.json()))
}

await call(CLIENT_ID, client.ClientSecretBasic(CLIENT_SECRET), 'oauth2')
await call(CLIENT_ID, client.ClientSecretPost(CLIENT_SECRET), 'oidc')

const jwk = JSON.parse(PRIVATE_JWK)
const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
await call(PRIVATE_CLIENT_ID, client.PrivateKeyJwt({ key, kid: jwk.kid }), 'oauth2')
