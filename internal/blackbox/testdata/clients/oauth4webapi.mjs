// oauth4webapi: discovery, each way to authenticate, the call, RFC 9068 validation, introspection, revocation.
import * as oauth from 'oauth4webapi'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PRIVATE_JWK, PRIVATE_CLIENT_ID, AUDIENCE, API, RS_ID, RS_SECRET } = process.env
const insecure = { [oauth.allowInsecureRequests]: true } // the test has no TLS
const issuer = new URL(ISSUER)

const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...insecure })
const as = await oauth.processDiscoveryResponse(issuer, found)

async function call(client, auth) {
  const res = await oauth.clientCredentialsGrantRequest(as, client, auth, { scope: 'read:a', resource: AUDIENCE }, insecure)
  const token = await oauth.processClientCredentialsResponse(as, client, res)
  const headers = new Headers({ authorization: `Bearer ${token.access_token}` })
  await oauth.validateJwtAccessToken(as, new Request(API, { headers }), AUDIENCE, insecure)
  const answer = await oauth.protectedResourceRequest(token.access_token, 'GET', new URL(API), undefined, undefined, insecure)
  console.log(JSON.stringify(await answer.json()))
  return token.access_token
}

const client = { client_id: CLIENT_ID }
await call(client, oauth.ClientSecretPost(CLIENT_SECRET))
const token = await call(client, oauth.ClientSecretBasic(CLIENT_SECRET))

const introspect = async () => {
  const rs = { client_id: RS_ID }
  const res = await oauth.introspectionRequest(as, rs, oauth.ClientSecretBasic(RS_SECRET), token, insecure)
  return (await oauth.processIntrospectionResponse(as, rs, res)).active
}
const before = await introspect()
await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, oauth.ClientSecretBasic(CLIENT_SECRET), token, insecure))
if (!before || (await introspect())) throw new Error('introspection does not follow revocation')

const jwk = JSON.parse(PRIVATE_JWK)
const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
await call({ client_id: PRIVATE_CLIENT_ID }, oauth.PrivateKeyJwt({ key, kid: jwk.kid }))
