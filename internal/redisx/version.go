package redisx

import (
	"context"
	"fmt"
	"strings"
)

// fixed are the first releases of each line with the Lua fixes of 2025 (CVE-2025-49844: a script could run code in the
// server).
var fixed = []struct{ major, minor, patch int }{{6, 2, 20}, {7, 2, 11}, {7, 4, 6}, {8, 0, 4}, {8, 2, 2}}

// VersionWarning asks the server for its version, and returns a sentence for the operator where that version lacks the
// Lua fixes of 2025, else "". Servers that are not Redis but speak its protocol have versions of their own and are not judged.
func (c *Client) VersionWarning(ctx context.Context) (string, error) {
	info, err := c.cmd.Info(ctx, "server").Result()
	if err != nil {
		return "", err
	}
	version := ""
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, "redis_version:"); ok {
			version = strings.TrimSpace(v)
		}
		if strings.HasPrefix(line, "valkey_version:") || strings.HasPrefix(line, "dragonfly_version:") {
			return "", nil
		}
	}
	return warnVersion(version), nil
}

func warnVersion(version string) string {
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
