package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/internal/app"
	"gatehouse/internal/config"
	"gatehouse/internal/demo"
	"gatehouse/internal/logs"
	"gatehouse/internal/secret"
)

// devFlags are what `dev` is asked for.
type devFlags struct {
	listen, admin, upstream, clientID, keyFile, redis string
	anywhere                                          bool
	asked                                             map[string]bool // the flags that were given
}

// dev is one run of the command: where it listens, what it made for the run.
type dev struct {
	devFlags
	dir           string // temporary; removed at the end
	secret        string
	ringKey       secret.Text // seals the keys of --redis, for this run
	public, admin net.Listener
	config        string // the file of -c; empty: one that dev writes
}

func newDev() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Try it: embedded state, generated keys, a built-in demo API, curl lines to paste",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, _ := cmd.Flags().GetString("config")
			f.asked = map[string]bool{"listen": cmd.Flags().Changed("listen"), "admin-listen": cmd.Flags().Changed("admin-listen")}
			if err := f.check(); err != nil {
				return usage(cmd, err)
			}
			return runDev(cmd.Context(), f, path, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.listen, "listen", "127.0.0.1:8080", "address of the gateway; the next free port where it is taken")
	fl.StringVar(&f.admin, "admin-listen", "127.0.0.1:8081", "address of the admin listener; the next free port where it is taken")
	fl.StringVar(&f.upstream, "upstream", "", "an API of yours to put behind the gateway, instead of the demo API")
	fl.StringVar(&f.clientID, "client-id", "demo", "id of the client that is made for this run")
	fl.StringVar(&f.keyFile, "key-file", "", "PEM file of the key that signs, so that tokens outlive a restart")
	fl.BoolVar(&f.anywhere, "listen-anywhere", false, "allow addresses that are not loopback; anybody who reaches them can call your API with the printed secret")
	fl.StringVar(&f.redis, "redis", "", "keep limits and revocations in this Redis: redis://[user@]host:port (password: GATEHOUSE_DEV_REDIS_PASSWORD)")
	return cmd
}

// check judges the flags that would be wrong whatever else there is.
func (f *devFlags) check() error {
	for flag, address := range map[string]string{"--listen": f.listen, "--admin-listen": f.admin} {
		if err := f.checkAddress(flag, address); err != nil {
			return err
		}
	}
	if err := config.CheckUpstream(f.upstream); f.upstream != "" && err != nil {
		return fmt.Errorf("--upstream %q: %w", f.upstream, err)
	}
	if err := config.CheckClientID(f.clientID); err != nil {
		return fmt.Errorf("--client-id: %w", err)
	}
	if f.redis == "" {
		return nil
	}
	u, err := url.Parse(f.redis)
	if err != nil || u.Scheme != "redis" || u.Host == "" {
		return errors.New("--redis: want redis://[user@]host:port")
	}
	if _, secret := u.User.Password(); secret {
		return errors.New("--redis: a password on the command line is seen by every process: leave it out, and set GATEHOUSE_DEV_REDIS_PASSWORD")
	}
	return nil
}

// checkAddress judges an address to listen on.
func (f *devFlags) checkAddress(flag, address string) error {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%s %q: want host:port", flag, address)
	}
	if _, err := strconv.ParseUint(portText, 10, 16); err != nil {
		return fmt.Errorf("%s %q: the port is not a number up to 65535", flag, address)
	}
	if ip := net.ParseIP(host); !f.anywhere && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s %s is not loopback, and dev is not for the network; to do it all the same add --listen-anywhere", flag, address)
	}
	return nil
}

func runDev(ctx context.Context, f devFlags, configFile string, stdout, stderr io.Writer) (err error) {
	d := &dev{devFlags: f, config: configFile, secret: os.Getenv("GATEHOUSE_DEV_SECRET")}
	if d.secret == "" {
		d.secret = secret.New()
	}
	sum := secret.Sum(secret.New())
	d.ringKey = secret.Hide(string(sum[:]))
	if d.dir, err = os.MkdirTemp("", "gatehouse-dev-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.dir)
	if err := d.open(); err != nil {
		return err
	}
	if d.config == "" {
		stop, err := d.writeConfig()
		if err != nil {
			return err
		}
		defer stop()
	}
	out := logs.Open(stderr, "warn", "text")
	defer out.Close()
	o := app.Options{Load: d.load, Version: version, Mode: "dev", Log: out, KeepLog: true, Public: d.public, Admin: d.admin}
	o.Sinks = append(o.Sinks, &terminal{out: stderr, find: d.found()})
	return serve(ctx, o, func(a *app.App) { d.welcome(stdout, a) })
}

// found are the flags with which another terminal finds this process: none where the usual ones do.
func (d *dev) found() (flags string) {
	usual := config.DefaultAdminListen
	if d.config != "" {
		flags = " -c " + shellQuote(d.config)
		usual, _, _ = config.Addresses(d.config, config.Options{})
	} else if _, err := os.Stat("config.yaml"); err == nil {
		usual = ""
	}
	if at := d.admin.Addr().String(); at != usual {
		flags += " --admin " + at
	}
	return flags
}

// open binds both listeners before anything is written, so that every printed address is the one that serves.
func (d *dev) open() (err error) {
	public, admin := d.listen, d.devFlags.admin
	if d.config != "" {
		cfg, err := loader(d.config)()
		if err != nil {
			return err
		}
		if !d.asked["listen"] {
			public = moved(cfg.Server.Listen, public, d.anywhere)
		}
		if !d.asked["admin-listen"] {
			admin = moved(cfg.Admin.Listen, admin, d.anywhere)
		}
	}
	if d.public, err = d.bind(public, "--listen"); err != nil {
		return err
	}
	d.admin, err = d.bind(admin, "--admin-listen")
	if err != nil {
		d.public.Close()
	}
	return err
}

// moved keeps the port of a configured address and puts it on loopback.
func moved(configured, fallback string, anywhere bool) string {
	host, port, err := net.SplitHostPort(configured)
	if err != nil { // a unix socket
		return fallback
	}
	if anywhere {
		return configured
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// bind takes the address, or the same host's next free port.
func (d *dev) bind(address, flag string) (net.Listener, error) {
	if err := d.checkAddress(flag, address); err != nil {
		return nil, err
	}
	host, portText, _ := net.SplitHostPort(address)
	port, _ := strconv.ParseUint(portText, 10, 16)
	for tries := 0; ; tries++ {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.FormatUint(port, 10)))
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) || tries == 200 || port == 65535 {
			return nil, err
		}
		port++
	}
}

// load reads the configuration as any run does; a file of -c is then moved to embedded state, these listeners without TLS, and
// one client more.
func (d *dev) load() (*config.Config, error) {
	if d.config == "" {
		cfg, err := loader(filepath.Join(d.dir, "config.yaml"))()
		if err != nil {
			return cfg, err
		}
		return cfg, d.withRedis(cfg)
	}
	cfg, err := loader(d.config)()
	if err != nil {
		return cfg, err
	}
	client := config.Client{ID: d.clientID, Grants: map[string][]string{}, GrantTypes: []string{"client_credentials"}}
	client.Secrets = []config.ClientSecret{{SHA256: secret.Sum(d.secret)}}
	for _, c := range cfg.Clients {
		if c.ID == d.clientID {
			return cfg, fmt.Errorf("the configuration has a client %q already; choose another name with --client-id", d.clientID)
		}
	}
	for _, api := range cfg.APIs {
		client.Grants[api.Name] = scopeNames(api)
	}
	cfg.Clients = append(cfg.Clients, client)
	cfg.State = config.State{Dir: filepath.Join(d.dir, "state")}
	cfg.Audit.File = "" // in state.dir: what is tried here is no part of the real trail
	cfg.Tokens.RingKey, cfg.Tokens.RingKeyFile = secret.Text{}, ""
	cfg.Server.TLS = nil // no certificate names the address that dev moves it to
	return cfg, d.withRedis(cfg)
}

// prefix keeps runs apart: none could read the keys that another sealed.
func (d *dev) prefix() string {
	sum := secret.Sum(d.ringKey.Reveal())
	return fmt.Sprintf("gh-dev-%x", sum[:4])
}

func (d *dev) withRedis(cfg *config.Config) error {
	if d.redis == "" {
		return nil
	}
	u, err := url.Parse(d.redis)
	if err != nil {
		return err
	}
	if cfg.Tokens.KeyDir == "" {
		cfg.Tokens.RingKey = d.ringKey
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), "6379")
	}
	cfg.State.Redis = &config.Redis{Addrs: []string{address}, Username: u.User.Username(), Password: secret.Hide(os.Getenv("GATEHOUSE_DEV_REDIS_PASSWORD")), Prefix: d.prefix(), Budget: 25 * time.Millisecond}
	return nil
}

// serveDemo starts the built-in API on a port of its own.
func serveDemo() (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: demo.Handler(), ReadHeaderTimeout: 5 * time.Second}
	go server.Serve(l)
	return "http://" + l.Addr().String(), func() { server.Close() }, nil
}
