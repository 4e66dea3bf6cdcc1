package redisx

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fixed are the first releases of each line with the Lua fixes of 2025 (CVE-2025-49844: a script could run code in the
// server).
var fixed = []struct{ major, minor, patch int }{{6, 2, 20}, {7, 2, 11}, {7, 4, 6}, {8, 0, 4}, {8, 2, 2}}

// Warnings asks every master what it is, and returns a sentence for the operator about each thing in which what is kept there
// could be lost or stolen: a version without the Lua fixes of 2025, a memory limit that evicts, another kind of Redis than
// Options.Mode says. Servers that are not Redis but speak its protocol have versions of their own, which are not judged. The
// error means that some master could not be asked; what the others gave rise to is returned with it.
func (c *Client) Warnings(ctx context.Context) ([]string, error) {
	top := c.reached(ctx)
	if len(top.masters) == 0 {
		return nil, errUnknown
	}
	var warnings []string
	var errs []error
	for _, s := range top.masters {
		some, err := c.warn(ctx, s)
		for _, w := range some {
			if !slices.Contains(warnings, w) {
				warnings = append(warnings, w)
			}
		}
		errs = append(errs, err)
	}
	return warnings, errors.Join(errs...)
}

func (c *Client) warn(ctx context.Context, s *server) ([]string, error) {
	info := map[string]string{}
	for _, section := range []string{"server", "memory"} {
		text, err := s.cmd.Info(ctx, section).Result()
		if err != nil {
			return nil, err
		}
		maps.Copy(info, parseInfo(text))
	}
	var warnings []string
	for _, w := range []string{warnVersion(info), warnEviction(info), warnMode(c.o.Mode, info)} {
		if w != "" {
			warnings = append(warnings, w)
		}
	}
	return warnings, nil
}

// warnMode knows what is at a standalone server's address. What is at the others' says so itself.
func warnMode(m Mode, info map[string]string) string {
	if found := info["redis_mode"]; m == Standalone && (found == "cluster" || found == "sentinel") {
		return fmt.Sprintf("redis at state.redis.addrs is not standalone: write mode: %s", found)
	}
	return ""
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

func warnEviction(info map[string]string) string {
	policy := info["maxmemory_policy"]
	if limit := info["maxmemory"]; limit == "" || limit == "0" || policy == "noeviction" || policy == "" {
		return ""
	}
	if strings.HasPrefix(policy, "allkeys-") {
		return fmt.Sprintf("redis evicts any key when its memory is full (maxmemory-policy %s), revocations among them: set noeviction", policy)
	}
	return fmt.Sprintf("redis evicts keys that expire when its memory is full (maxmemory-policy %s), so that limits start afresh: set noeviction", policy)
}

func warnVersion(info map[string]string) string {
	if info["valkey_version"] != "" || info["dragonfly_version"] != "" {
		return ""
	}
	version := info["redis_version"]
	var major, minor, patch int
	if n, _ := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); n != 3 {
		return fmt.Sprintf("redis says version %q, wanted three numbers: can't tell whether it has the Lua fixes of 2025", version)
	}
	newest := fixed[len(fixed)-1]
	if major > newest.major || major == newest.major && minor > newest.minor {
		return ""
	}
	for _, f := range fixed {
		if f.major != major || f.minor != minor {
			continue
		}
		if patch >= f.patch {
			return ""
		}
		return fmt.Sprintf("redis %s lacks the Lua fixes of 2025 (CVE-2025-49844): use %d.%d.%d or later", version, f.major, f.minor, f.patch)
	}
	return fmt.Sprintf("redis %s lacks the Lua fixes of 2025 (CVE-2025-49844): use 6.2.20, 7.2.11, 7.4.6, 8.0.4, 8.2.2 or later", version)
}
