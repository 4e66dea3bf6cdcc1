package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// binary is a Gatehouse to measure.
type binary struct {
	name string // that of its file, which tells it from another one in the same run
	path string
}

// rig is what all scenarios share: programs, keys, tokens, the upstream and Redis.
type rig struct {
	work         string // the directory of all that is made
	repo         string // the root of the tree that is measured
	upstream     string // host:port
	redisAddr    string // host:port, "" where no scenario wants it
	revokedUntil int64  // when the first of the million revocations in it expires, in Unix seconds
	secret       string // of every client whose tokens are used
	binaries     []binary
	soak         time.Duration      // 0 is none
	signers      map[string]*signer // by alg
	running      []*process         // what runs as long as the rig does
	missing      map[string]string  // peers that can't be built here, and why
}

// close ends what the rig runs.
func (r *rig) close() {
	for _, p := range r.running {
		p.stop()
	}
}

func (r *rig) binDir() string               { return filepath.Join(r.work, "bin") }
func (r *rig) keyDir() string               { return filepath.Join(r.work, "keys") }
func (r *rig) publicKey(alg string) string  { return filepath.Join(r.work, alg+".pub.pem") }
func (r *rig) tokenFile(name string) string { return filepath.Join(r.work, "tokens", name) }

// dir is the directory of one program's files in this run.
func (r *rig) dir(name string) (string, error) {
	d := filepath.Join(r.work, "run", name)
	return d, os.MkdirAll(d, 0o700)
}

// prepare builds and makes what the scenarios need. What an earlier run left in work is used again as far as it keeps:
// keys, tokens and journals of revocations, but no other state.
func (r *rig) prepare(ctx context.Context, list []*scenario, round time.Duration) error {
	if err := os.RemoveAll(filepath.Join(r.work, "run")); err != nil {
		return err
	}
	for _, d := range []string{r.binDir(), r.keyDir(), filepath.Join(r.work, "tokens"), filepath.Join(r.work, "run")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	r.secret, r.missing = newSecret(), map[string]string{}
	if err := r.build(ctx, list); err != nil {
		return err
	}
	if err := r.makeTokens(round, list); err != nil {
		return err
	}
	if err := r.startUpstream(ctx); err != nil {
		return fmt.Errorf("upstream: %w", err)
	}
	for _, s := range list {
		if s.shape != nil && s.shape.redis {
			return r.startRedis(ctx)
		}
	}
	return nil
}

// build builds the upstream, the peers written here and, unless told of others, Gatehouse.
func (r *rig) build(ctx context.Context, list []*scenario) error {
	here := filepath.Join(r.repo, "deploy", "bench", "peers")
	if err := command(ctx, here, "gcc", "-O2", "-o", filepath.Join(r.binDir(), "upstream"), "upstream.c"); err != nil {
		return err
	}
	if err := command(ctx, here, "go", "build", "-trimpath", "-o", filepath.Join(r.binDir(), "revproxy"), "./revproxy"); err != nil {
		return err
	}
	if len(r.binaries) == 0 {
		path := filepath.Join(r.binDir(), "gatehouse")
		if err := command(ctx, r.repo, "go", "build", "-trimpath", "-o", path, "./cmd/gatehouse"); err != nil {
			return err
		}
		r.binaries = []binary{{"gatehouse", path}}
	}
	for _, s := range list {
		if s.peer != "caddy" {
			continue
		}
		if err := command(ctx, filepath.Join(here, "caddy"), "go", "build", "-trimpath", "-o", filepath.Join(r.binDir(), "caddy"), "."); err != nil {
			r.missing["caddy"] = err.Error()
		}
		break
	}
	return nil
}

func command(ctx context.Context, dir string, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", argv[0], err, out)
	}
	return nil
}

// freshPerSecond is how many tokens that were never seen before a round may use in a second, which no proxy does on a core:
// verifying one takes longer.
var freshPerSecond = map[string]int{"RS256": 20_000, "ES256": 13_000}

// makeTokens signs the tokens that the scenarios send.
func (r *rig) makeTokens(round time.Duration, list []*scenario) error {
	r.signers = map[string]*signer{}
	fresh := false
	for _, s := range list {
		fresh = fresh || s.fresh
	}
	for _, alg := range []string{"RS256", "ES256"} {
		s, err := openSigner(r.keyDir(), alg)
		if err != nil {
			return err
		}
		r.signers[alg] = s
		aud := map[string]string{"RS256": audRSA, "ES256": audEC}[alg]
		for _, set := range tokenSets(alg, aud, fresh, int(round.Seconds())) {
			if err := tokenFile(r.tokenFile(set.name), set.count, func() ([]string, error) { return s.tokens(&set) }); err != nil {
				return fmt.Errorf("tokens: %w", err)
			}
		}
	}
	return nil
}

// tokenSets are those of an algorithm: what loads use, and one each of what must not pass.
func tokenSets(alg, audience string, fresh bool, seconds int) []tokenSet {
	good := tokenSet{count: warmCount, audience: audience, scope: scopeRead(audience)}
	set := func(name string, change func(*tokenSet)) tokenSet {
		s := good
		s.name = alg + "-" + name
		change(&s)
		return s
	}
	sets := []tokenSet{
		set("warm", func(*tokenSet) {}),
		set("forged", func(s *tokenSet) { s.change = forge }),
		set("tight", func(s *tokenSet) { s.audience, s.scope, s.clients = audTight, scopeRead(audTight), 1 }), // a probe uses its limit up
		set("expired", func(s *tokenSet) { s.count, s.age = 1, tokenLife+time.Hour }),
		set("scopeless", func(s *tokenSet) { s.count, s.scope = 1, "other:read" }),
	}
	if fresh {
		sets = append(sets, set("fresh", func(s *tokenSet) { s.count = seconds * freshPerSecond[alg] }))
	}
	return sets
}

func (r *rig) startUpstream(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	dir, err := r.dir("upstream")
	if err != nil {
		return err
	}
	p, err := launch(dir, loadCore, nil, filepath.Join(r.binDir(), "upstream"), strconv.Itoa(port))
	if err != nil {
		return err
	}
	r.upstream, r.running = loopback(port), append(r.running, p)
	return p.await(ctx, listens(r.upstream))
}

// lendJournal gives a node that has no state yet the million revocations that another one of the same binary has taken over from
// Redis, in this run or in the one before that left them.
func (r *rig) lendJournal(ctx context.Context, binary, dir string) error {
	state := filepath.Join(dir, "state")
	if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	lender := filepath.Join(r.work, "journals", fmt.Sprintf("%s-%d", filepath.Base(binary), r.revokedUntil))
	whole := filepath.Join(lender, "whole")
	if _, err := os.Stat(whole); err != nil {
		if err := os.MkdirAll(lender, 0o700); err != nil {
			return err
		}
		taker := shape{redis: true, revoked: true, takes: true, procs: 2}
		s, err := taker.gatehouse(ctx, r, binary, lender)
		if err != nil {
			return err
		}
		s.stop()
		if err := os.WriteFile(whole, nil, 0o600); err != nil {
			return err
		}
	}
	return os.CopyFS(state, os.DirFS(filepath.Join(lender, "state")))
}
