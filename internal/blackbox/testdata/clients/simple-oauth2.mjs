// simple-oauth2: credentials in the header and in the body, the body as a form and as JSON.
import { ClientCredentials } from 'simple-oauth2'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, AUDIENCE, API } = process.env

for (const options of [
  { authorizationMethod: 'header', bodyFormat: 'form' },
  { authorizationMethod: 'body', bodyFormat: 'form' },
  { authorizationMethod: 'body', bodyFormat: 'json' },
]) {
  const client = new ClientCredentials({
    client: { id: CLIENT_ID, secret: CLIENT_SECRET },
    auth: { tokenHost: ISSUER, tokenPath: '/oauth/token' },
    options,
  })
  const { token } = await client.getToken({ scope: 'read:a', audience: AUDIENCE })
  const res = await fetch(API, { headers: { authorization: `Bearer ${token.access_token}` } })
  console.log(JSON.stringify(await res.json()))
}
