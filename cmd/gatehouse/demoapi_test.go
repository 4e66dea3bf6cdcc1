package main

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestDemoAPI(t *testing.T) {
	_, stderr, stop := background(t, "listens on", "demo-api", "--listen", "127.0.0.1:0")
	address := regexp.MustCompile(`listens on (\S+)`).FindStringSubmatch(stderr.String())
	res, err := http.Get("http://" + address[1] + "/demo/hello")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); !strings.Contains(string(body), "hello from behind Gatehouse") {
		t.Errorf("it answers %d %s", res.StatusCode, body)
	}
	if code := stop(); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if help := gatehouse(t, "", "--help"); strings.Contains(help.stdout, "demo-api") {
		t.Error("demo-api is not hidden")
	}
}
