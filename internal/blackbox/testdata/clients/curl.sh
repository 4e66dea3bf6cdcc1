#!/bin/sh
# curl, as the README shows it: Basic, the form, JSON, and the call.
set -eu

answer() {
  token=$(curl -sS --fail-with-body "$@" "$ISSUER/oauth/token" | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  curl -sS --fail-with-body -H "Authorization: Bearer $token" "$API"
}
case "$CLIENT_ID" in
*:*) ;; # -u would end the id at the first colon
*) answer -u "$CLIENT_ID:$CLIENT_SECRET" -d grant_type=client_credentials -d audience="$AUDIENCE" -d scope=read:a ;;
esac
answer -d grant_type=client_credentials --data-urlencode "client_id=$CLIENT_ID" --data-urlencode "client_secret=$CLIENT_SECRET" -d audience="$AUDIENCE" -d scope=read:a
if [ -n "${JSON_BODY:-}" ]; then
  answer -H 'content-type: application/json' -d "$JSON_BODY"
fi
