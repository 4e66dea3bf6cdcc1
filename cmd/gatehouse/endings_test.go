package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// A look that is cut short says neither that all is well nor that something is not.
func TestCheckInterrupted(t *testing.T) {
	asked := make(chan struct{}, 8)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			asked <- struct{}{}
		}
	}()
	path := aCheck(t, "https://"+silent.Addr().String(), "      - {match: GET /x, auth: token}\n")
	for _, args := range []string{"check --deep", "check --audit --admin " + silent.Addr().String()} {
		ctx, interrupt := context.WithCancel(context.Background())
		go func() { <-asked; interrupt() }()
		var out, errOut bytes.Buffer
		if code := execute(ctx, append(strings.Fields(args), path), strings.NewReader(""), &out, &errOut); code != exitInterrupted || out.Len()+errOut.Len() > 0 {
			t.Errorf("%s: %d %q %q", args, code, out.String(), errOut.String())
		}
	}
}

// What can't be undone is asked for where somebody can answer, and wants --yes where nobody can.
func TestNothingIsDestroyedUnasked(t *testing.T) {
	config, _ := project(t)
	newSecret(t, gatehouse(t, "", "client", "create", "worker", "-c", config))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, args := range []string{"client delete worker", "revoke --all", "keys rotate --revoke"} {
		for name, in := range map[string]io.Reader{"a pipe": strings.NewReader("y\n"), "the null device": null} {
			var out, errOut bytes.Buffer
			code := execute(context.Background(), append(strings.Fields(args), "-c", config), in, &out, &errOut)
			if code != exitUsage || out.Len() > 0 || !strings.Contains(errOut.String(), "--yes") {
				t.Errorf("%s with %s: %d %q %q", args, name, code, out.String(), errOut.String())
			}
		}
	}
	if r := gatehouse(t, "", "client", "show", "worker", "-c", config); r.code != 0 {
		t.Errorf("the client is gone: %+v", r)
	}
}

// A command that is misspelt is named, also below another.
func TestNearCommands(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"chek": "did you mean gatehouse check?", "client lst": "did you mean gatehouse client list?", "validat": "did you mean gatehouse validate?",
		"completion bahs": "did you mean gatehouse completion bash?", "keys rotat": "did you mean gatehouse keys rotate?",
		"help chek": "did you mean gatehouse check?", "help client lst": "did you mean gatehouse client list?",
	} {
		if r := gatehouse(t, "", strings.Fields(args)...); r.code != exitUsage || r.stdout != "" || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
