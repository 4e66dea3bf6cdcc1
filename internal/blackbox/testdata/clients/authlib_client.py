"""Authlib: both methods with a secret; the token is verified by the published keys."""
import json
import os

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.jose import JsonWebKey, JsonWebToken

issuer, endpoint = os.environ["ISSUER"], os.environ["ISSUER"] + "/oauth/token"
keys = JsonWebKey.import_key_set(requests.get(issuer + "/.well-known/jwks.json").json())


def call(session):
    token = session.fetch_token(endpoint, grant_type="client_credentials", audience=os.environ["AUDIENCE"], scope="read:a")
    JsonWebToken(["RS256"]).decode(token["access_token"], keys, claims_options={"iss": {"value": issuer}, "aud": {"value": os.environ["AUDIENCE"]}}).validate()
    print(json.dumps(session.get(os.environ["API"]).json()))


# In the header it sends id and secret as they stand, where an id with a colon would end too early.
for method in ("client_secret_post",) if ":" in os.environ["CLIENT_ID"] else ("client_secret_basic", "client_secret_post"):
    call(OAuth2Session(os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"], token_endpoint_auth_method=method))
