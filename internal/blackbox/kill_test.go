package blackbox

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// kills is how often TestKilled ends processes by SIGKILL, over both engines; GATEHOUSE_KILLS has it another number.
const kills = 50

const killClients = 6

// act is one revocation with a token that it ends.
type act struct {
	what string
	j    jwt
	send func(n *node) (answer, error)
	by   *node // who answered 200; nil: nobody did
}

// TestKilled kills processes in the middle of streams of revocations of every kind. Whatever was answered 200 holds after each
// restart, also where Redis came back empty meanwhile; and the signing keys are still there.
func TestKilled(t *testing.T) {
	total := kills
	if text := os.Getenv("GATEHOUSE_KILLS"); text != "" {
		var err error
		if total, err = strconv.Atoi(text); err != nil {
			t.Fatalf("GATEHOUSE_KILLS=%q: want a number", text)
		}
	}
	for engine, rounds := range map[string]int{embedded: total / 2, fleet: total - total/2} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			more := ""
			for _, id := range killNames() {
				more += fmt.Sprintf("  %s: {grants: {n: [read:n]}, secrets: [{sha256: {{sha256 %q}}}]}\n", id, id)
			}
			d := deploy(t, plan{engine: engine, ring: true, clients: more})
			k := &killing{call: &call{T: t, deployment: d, from: newSource()}, random: rand.New(rand.NewPCG(seed, 0))}
			for round := range rounds {
				if k.round(round); t.Failed() {
					t.Fatalf("in round %d", round)
				}
			}
			k.holds(k.answered)
			t.Logf("%d kills, %d revocations answered before them", k.killed, len(k.answered))
		})
	}
}

func killNames() []string {
	names := []string{"k-token", "k-rule", "k-keep"}
	for i := range killClients {
		names = append(names, fmt.Sprintf("k-%d", i))
	}
	return names
}

type killing struct {
	*call
	random   *rand.Rand
	answered []*act
	killed   int
}

// round starts a stream of revocations, kills one node in the middle, or all, and starts it again.
func (k *killing) round(round int) {
	keep, keys := k.token("k-keep"), k.do(k.nodes[0], "GET", jwksPath, "").body
	acts := k.acts(round)
	victims := k.nodes[round%len(k.nodes):][:1]
	if round%5 == 4 {
		victims = k.nodes
	}
	k.stream(acts, victims)
	if k.redis != nil && round%2 == 0 {
		k.redis.Restart(false)
	}
	for _, n := range victims {
		if err := n.start(); err != nil {
			k.Fatal(err)
		}
	}
	var done []*act
	for _, a := range acts {
		if a.by != nil {
			done = append(done, a)
		}
	}
	k.answered = append(k.answered, done...)
	k.holds(done)
	for _, n := range k.nodes {
		if a := k.do(n, "GET", jwksPath, ""); a.status != 200 || a.body != keys {
			k.Errorf("the keys are %s, and were %s", a.body, keys)
		}
		if round%4 < 2 { // no rule that ends it
			k.passes(n, "/n", keep)
		}
	}
}

// acts are the revocations of one round, in an order of their own. Rules that end what others end too, by key and all, come in
// every other round alone, since they would hide that an entry was lost.
func (k *killing) acts(round int) (acts []*act) {
	admin := func(what string, j jwt, body any) {
		text, err := json.Marshal(body)
		if err != nil {
			k.Fatal(err)
		}
		acts = append(acts, &act{what: what, j: j, send: func(n *node) (answer, error) { return k.adminTry(n, string(text)) }})
	}
	for i := range 16 {
		j := k.token("k-token")
		if i%2 == 0 {
			admin("token", j, map[string]string{"token": j.raw})
			continue
		}
		acts = append(acts, &act{what: "token by its client", j: j, send: func(n *node) (answer, error) {
			return k.try(n, http.MethodPost, revokePath, form("token", j.raw), "Content-Type", "application/x-www-form-urlencoded", "Authorization", basic("k-token", k.secrets["k-token"]))
		}})
	}
	for i := range killClients {
		id := fmt.Sprintf("k-%d", i)
		admin("client", k.token(id), map[string]string{"client": id})
	}
	switch j := k.token("k-rule"); round % 4 {
	case 2:
		admin("key", j, map[string]any{"kid": j.header["kid"]})
	case 3:
		admin("all", j, map[string]bool{"all": true})
	}
	k.random.Shuffle(len(acts), func(i, j int) { acts[i], acts[j] = acts[j], acts[i] })
	return acts
}

// adminTry is a revocation over the admin listener.
func (k *killing) adminTry(n *node, body string) (answer, error) {
	res, err := http.Post(n.admin+"/api/v1/revocations", "application/json", strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	return answer{status: res.StatusCode, header: res.Header}, nil
}

// stream sends the acts to the victims, several at once, and kills these once some have been answered.
func (k *killing) stream(acts []*act, victims []*node) {
	last := 1 + k.random.IntN(len(acts)-4)
	var mu sync.Mutex
	answered := 0
	kill := sync.OnceFunc(func() {
		for _, n := range victims {
			n.signal(syscall.SIGKILL)
		}
		k.killed++
	})
	together(len(acts), 6, func(i int) {
		n := victims[i%len(victims)]
		a, err := acts[i].send(n)
		if err != nil {
			return // it was killed
		}
		mu.Lock()
		defer mu.Unlock()
		if a.status != 200 {
			k.Errorf("%s: %d %s", acts[i].what, a.status, a.body)
			return
		}
		acts[i].by = n
		if answered++; answered >= last {
			kill()
		}
	})
	kill()
	for _, n := range victims {
		<-n.exited
	}
}

// holds checks that the revocations count: at once where they were answered, and elsewhere soon.
func (k *killing) holds(acts []*act) {
	k.Helper()
	for _, a := range acts {
		if got := k.api(a.by, "/n", a.j.raw); got.status != 401 {
			k.Errorf("revocation of %s was answered, and is forgotten after a restart: %d %s", a.what, got.status, got.body)
		}
	}
	for _, a := range acts {
		for _, n := range k.nodes {
			if n != a.by {
				eventually(k, "another node has heard of it", func() bool { return k.api(n, "/n", a.j.raw).status == 401 })
			}
		}
	}
}
