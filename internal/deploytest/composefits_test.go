package deploytest

import (
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// composeParts are the files of compose.yaml, as far as they name each other.
type composeParts struct {
	compose composeFile
	gateway struct {
		Server, Admin struct {
			Listen    string
			PublicURL string `yaml:"public_url"`
			TokenFile string `yaml:"token_file"`
		}
		State struct {
			Dir   string
			Redis struct {
				Addrs        []string
				PasswordFile string `yaml:"password_file"`
			}
		}
		Tokens struct {
			RingKeyFile string `yaml:"ring_key_file"`
		}
		APIs map[string]struct{ Upstream string }
	}
	prometheus struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string                       `yaml:"job_name"`
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	sources struct {
		Datasources []struct {
			UID, Type, URL string
			IsDefault      bool `yaml:"isDefault"`
		}
	}
	boards struct {
		Providers []struct{ Options struct{ Path string } }
	}
}

func composed(t *testing.T) (p composeParts) {
	t.Helper()
	for file, into := range map[string]any{"deploy/compose.yaml": &p.compose, "deploy/compose/gatehouse/config.yaml": &p.gateway, "deploy/compose/prometheus.yml": &p.prometheus,
		"deploy/grafana/provisioning/datasources/prometheus.yaml": &p.sources, "deploy/grafana/provisioning/dashboards/gatehouse.yaml": &p.boards} {
		if err := yaml.Unmarshal([]byte(read(t, file)), into); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	return p
}

// mount is what a service finds at a path of its container; "" for nothing that is mounted.
func (p composeParts) mount(service, at string) string {
	for _, v := range p.compose.Services[service].Volumes {
		from, rest, _ := strings.Cut(v, ":")
		to, _, _ := strings.Cut(rest, ":")
		if inside, ok := strings.CutPrefix(at, to); ok && (inside == "" || inside[0] == '/') {
			return from + inside
		}
	}
	for _, s := range p.compose.Services[service].Secrets {
		if at == "/run/secrets/"+s.Target {
			return p.compose.Secrets[s.Source].File
		}
	}
	return ""
}

// What one file calls something, the others call the same: hosts are services, ports those that are listened at, paths those
// that are mounted, and the job that of the rules.
func TestComposeFits(t *testing.T) {
	p := composed(t)
	services := p.compose.Services
	listens := map[string]string{ // host:port within the network of compose
		"gatehouse" + p.gateway.Server.Listen: "", "gatehouse" + p.gateway.Admin.Listen: "", "redis:6379": "", "prometheus:9090": "", "grafana:3000": "",
	}
	command := services["demo-api"].Command
	if i := slices.Index(command, "--listen"); i >= 0 && i+1 < len(command) {
		listens["demo-api"+command[i+1]] = ""
	}
	reach := func(who, address string) {
		t.Helper()
		host, _, _ := strings.Cut(address, ":")
		if _, there := listens[address]; !there || services[host].Image == "" {
			t.Errorf("%s asks %s, where nothing listens: %v", who, address, listens)
		}
	}
	hostOf := func(text string) string {
		u, err := url.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			return ""
		}
		return u.Host
	}
	for _, a := range p.gateway.State.Redis.Addrs {
		reach("the gateway", a)
	}
	for name, api := range p.gateway.APIs {
		reach("the API "+name, hostOf(api.Upstream))
	}
	for _, s := range p.prometheus.ScrapeConfigs {
		if s.JobName != "gatehouse" {
			t.Errorf("the rules and the dashboard do not know the job %s", s.JobName)
		}
		for _, c := range s.StaticConfigs {
			for _, target := range c.Targets {
				reach("Prometheus", target)
				if target != "gatehouse"+p.gateway.Admin.Listen {
					t.Errorf("Prometheus scrapes %s, the admin listener is %s", target, p.gateway.Admin.Listen)
				}
			}
		}
	}
	for _, d := range p.sources.Datasources {
		if reach("Grafana", hostOf(d.URL)); d.Type != "prometheus" || !d.IsDefault || d.UID == "" {
			t.Errorf("the data source is %+v", d)
		}
	}
	// Each published port is one that the container listens at, and public_url is where a caller finds the first.
	for name, s := range services {
		for _, published := range s.Ports {
			part := strings.Split(published, ":")
			reach("the port "+published, name+":"+part[len(part)-1])
		}
	}
	if at := services["gatehouse"].Ports[0]; !strings.HasSuffix(p.gateway.Server.PublicURL, strings.TrimPrefix(at[:strings.LastIndex(at, ":")], "127.0.0.1")) {
		t.Errorf("public_url is %s, published is %s", p.gateway.Server.PublicURL, at)
	}
}

func TestComposeMountsWhatIsNamed(t *testing.T) {
	p := composed(t)
	for _, x := range []struct{ service, at, want string }{
		{"gatehouse", "/etc/gatehouse/config.yaml", "./compose/gatehouse/config.yaml"},
		{"gatehouse", p.gateway.State.Dir, "gatehouse-state"},
		{"gatehouse", p.gateway.Admin.TokenFile, "./compose/secrets/admin.token"},
		{"gatehouse", p.gateway.State.Redis.PasswordFile, "./compose/secrets/redis.password"},
		{"gatehouse", p.gateway.Tokens.RingKeyFile, "./compose/secrets/ring.key"},
		{"redis", "/etc/redis/redis.conf", "./compose/redis.conf"},
		{"redis", "/run/secrets/redis.auth", "./compose/secrets/redis.auth"},
		{"redis", "/data", "redis-data"},
		{"prometheus", "/etc/prometheus/prometheus.yml", "./compose/prometheus.yml"},
		{"prometheus", p.prometheus.RuleFiles[0], "./prometheus/alerts.yaml"},
		{"grafana", p.compose.Services["grafana"].Environment["GF_SECURITY_ADMIN_PASSWORD__FILE"], "./compose/secrets/grafana.password"},
		{"grafana", path.Join(p.boards.Providers[0].Options.Path, "gatehouse.json"), "./grafana/gatehouse.json"},
		{"grafana", "/etc/grafana/provisioning", "./grafana/provisioning"},
	} {
		if got := p.mount(x.service, x.at); filepath.ToSlash(got) != x.want {
			t.Errorf("%s finds %q at %s, want %s", x.service, got, x.at, x.want)
		}
	}
	// And nothing is declared that nobody uses.
	used := map[string]bool{}
	for _, s := range p.compose.Services {
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			used[from] = true
		}
		for _, secret := range s.Secrets {
			used[secret.Source] = true
		}
	}
	for name := range p.compose.Volumes {
		if !used[name] {
			t.Errorf("nobody uses the volume %s", name)
		}
	}
	for name := range p.compose.Secrets {
		if !used[name] {
			t.Errorf("nobody uses the secret %s", name)
		}
	}
}
