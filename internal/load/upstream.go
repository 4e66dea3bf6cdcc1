package load

import (
	"net/http"
	"strconv"
	"strings"
)

// replySize is what the API of Upstream answers, in bytes.
const replySize = 200

// Upstream is an API to put behind the gateway that is measured. It does as little as an API can.
func Upstream() http.Handler {
	body := []byte(strings.Repeat("x", replySize))
	size, kind := []string{strconv.Itoa(replySize)}, []string{"text/plain"}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Length"], w.Header()["Content-Type"] = size, kind
		w.Write(body)
	})
}
