// Command caddy is Caddy with one handler more, bench_jwt, which checks a bearer token on every request as the JWT modules of
// other people for Caddy do: by jwx, with nothing remembered. It is a module of its own so that the other peers can be built
// where Caddy can't.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func main() { caddycmd.Main() }
