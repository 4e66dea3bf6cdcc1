"""requests-oauthlib: the backend application flow, with the credentials in the header and in the body."""
import json
import os

os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the test has no TLS
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

# In the header it sends id and secret as they stand, where an id with a colon would end too early.
for in_body in (True,) if ":" in os.environ["CLIENT_ID"] else (False, True):
    session = OAuth2Session(client=BackendApplicationClient(client_id=os.environ["CLIENT_ID"], scope=["read:a"]))
    session.fetch_token(
        os.environ["ISSUER"] + "/oauth/token",
        client_id=os.environ["CLIENT_ID"],
        client_secret=os.environ["CLIENT_SECRET"],
        include_client_id=in_body,
        auth=False if in_body else None,
        audience=os.environ["AUDIENCE"],
    )
    print(json.dumps(session.get(os.environ["API"]).json()))
