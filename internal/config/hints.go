package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// What people write in place of what is wanted, and how that is written here. A hint is "" or begins with " — ", unless it says otherwise.

// kindHint is for a node of another kind than wanted. A map that is wanted is named where people choose its keys.
func kindHint(n node, wanted yaml.Kind, named bool) string {
	name := n.name()
	switch wanted {
	case yaml.SequenceNode:
		if n.Kind == yaml.MappingNode {
			return listHint(n, name)
		}
		return " — write " + flowList(n.Value)
	case yaml.MappingNode:
		if n.Kind == yaml.SequenceNode {
			if !named {
				return " — write its keys below it, without dashes"
			}
			return mapHint(n, name)
		}
		return objectHint(n, name)
	}
	switch {
	case n.Kind == yaml.SequenceNode && name == "upstream":
		return " — several servers stand under upstreams: [{url: …}, {url: …}]"
	case name == "match":
		return " — write one text for each route, such as \"GET /orders/{id}\""
	case n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle != 0:
		return " — text that begins with { needs quotes"
	}
	return ""
}

// listHint is for a map where a list belongs.
func listHint(n node, name string) string {
	if name == "routes" && len(n.Content) > 0 && strings.Contains(n.Content[0].Value, "/") {
		return fmt.Sprintf(" — each route is an entry of its own: - match: %s", clipText(n.Content[0].Value))
	}
	return " — put a dash before each entry: - …"
}

// mapHint is for a list where a map belongs.
func mapHint(n node, name string) string {
	if len(n.Content) == 0 {
		return " — write {}"
	}
	first := n.Content[0]
	switch {
	case name == "grants" && first.Kind == yaml.ScalarNode:
		return fmt.Sprintf(" — write the API first: {API: [%s]}", flowText(clipText(first.Value)))
	case first.Kind == yaml.ScalarNode:
		return fmt.Sprintf(" — without dashes, and with a colon after each name: %s: …", clipText(first.Value))
	}
	for i := 0; i+1 < len(first.Content); i += 2 {
		if k := first.Content[i].Value; k == "name" || k == "id" || k == "client_id" {
			return fmt.Sprintf(" — the %s comes first, without a dash: %s:", k, clipText(first.Content[i+1].Value))
		}
	}
	return " — without dashes, and a name with a colon before each entry"
}

// objectHint is for a text where keys belong.
func objectHint(n node, name string) string {
	switch {
	case name == "redis":
		return " — write {addrs: [\"127.0.0.1:6379\"]}, without redis://"
	case name == "upstreams" && plainHost.MatchString(strings.TrimPrefix(strings.TrimPrefix(n.Value, "http://"), "https://")):
		return fmt.Sprintf(" — write {url: %s}", clipText(n.Value))
	case name == "rate_limit":
		return " — write {requests: 100, per: 1s}"
	case name == "tls" && n.Value == "true":
		return " — write {}, for the certificates of the system"
	case name == "log" && logLevel.MatchString(n.Value):
		return " — write {level: " + n.Value + "}"
	case name == "health" && strings.HasPrefix(n.Value, "/"):
		return " — write {path: " + flowText(clipText(n.Value)) + "}"
	case name == "retry" && decimal.MatchString(n.Value):
		return " — write {attempts: " + clipText(n.Value) + "}"
	case name == "cors":
		return " — write {origins: [\"https://app.example.com\"]}"
	}
	return ""
}

var logLevel = regexp.MustCompile(`^(debug|info|warn|error)$`)

// wordHint is the word that was meant: a near one, else the only one that begins as the text does, or that the text begins with or ends.
func wordHint(got string, words []string) string {
	if strings.HasPrefix(got, "HS") && slices.Contains(words, "ES256") {
		return " — a key that both sides have is none that a gateway may have; write " + strings.Join(words, " or ")
	}
	if hint := didYouMean(got, slices.Values(words)); hint != "" || len(got) < 3 {
		return hint
	}
	low, found := strings.ToLower(got), []string(nil)
	for _, w := range words {
		if strings.HasPrefix(w, low) || strings.HasPrefix(low, w) || strings.HasSuffix(w, "_"+low) {
			found = append(found, w)
		}
	}
	if len(found) != 1 {
		return ""
	}
	return fmt.Sprintf(" — did you mean %q?", found[0])
}

// wildcardHint is how a wildcard is written that was written otherwise, without the " — ".
func wildcardHint(name string) string {
	plain, _, expression := strings.Cut(name, ":")
	plain = strings.Map(func(c rune) rune {
		if c == '-' || c == '.' || c == ' ' {
			return '_'
		}
		return c
	}, plain)
	switch {
	case !wildcardName.MatchString(plain):
		return "{name}, {name...} or {$}"
	case expression:
		return "there are no expressions: write {" + plain + "}"
	}
	return "write {" + plain + "}"
}

// flowList is a text as the list that was meant, its members divided at commas.
func flowList(s string) string {
	var members []string
	for m := range strings.SplitSeq(clipText(s), ",") {
		members = append(members, flowText(strings.TrimSpace(m)))
	}
	return "[" + strings.Join(members, ", ") + "]"
}

// flowText is a scalar as it may stand in a list in brackets: in quotes where it would be read as something else.
func flowText(s string) string {
	if s == "" || strings.ContainsAny(s, "[]{},\"'") || strings.ContainsAny(s[:1], "*&!|>%@`#?-") || strings.Contains(s, ": ") || strings.Contains(s, " #") || strings.HasSuffix(s, ":") {
		return strconv.Quote(s)
	}
	return s
}

var (
	timeText = regexp.MustCompile(`^([0-9]+)? ?(d|day|days|w|week|weeks|s|sec|secs|second|seconds|m|min|mins|minute|minutes|h|hr|hrs|hour|hours)$`)
	unitOf   = map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 's': time.Second, 'm': time.Minute, 'h': time.Hour}
)

// durationHint is how a duration is written here that was written otherwise, without the " — ".
func durationHint(s string) string {
	m := timeText.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return "such as 500ms, 30s, 10m or 24h"
	}
	n, err := strconv.Atoi("0" + m[1])
	if m[1] == "" {
		n = 1
	}
	if err != nil || n == 0 || n > 1<<20 {
		return "such as 500ms, 30s, 10m or 24h"
	}
	d := short(time.Duration(n) * unitOf[m[2][0]])
	if unit := m[2][0]; unit == 'd' || unit == 'w' {
		return "the longest unit is the hour: " + d
	}
	return "write " + d
}

var sizeMeant = regexp.MustCompile(`^([1-9][0-9]*) ?([KMG])i?[Bb]?$`)

// sizeHint is how a size is written here, without the " — ".
func sizeHint(s string) string {
	if m := sizeMeant.FindStringSubmatch(strings.ToUpper(s)); m != nil {
		return fmt.Sprintf("write whole bytes, or KiB, MiB, GiB: %s%siB", m[1], m[2])
	}
	return "write whole bytes, or KiB, MiB, GiB: 10MiB"
}

var (
	digits  = regexp.MustCompile(`^0*([1-9][0-9]*)$`)
	perTime = regexp.MustCompile(`^([1-9][0-9]*) ?(?:/|per )`)
)

// wholeHint is how a whole number is written here, without the " — ".
func wholeHint(s string) string {
	if m := digits.FindStringSubmatch(strings.NewReplacer("_", "", ",", "").Replace(s)); m != nil {
		return "write " + m[1]
	}
	if m := perTime.FindStringSubmatch(s); m != nil {
		return "write the number alone: " + m[1]
	}
	return ""
}

// plainHost is a host with a port or a path, and nothing that could be a secret.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]+)?(/[A-Za-z0-9._/-]*)?$`)

// urlHint is the URL that was meant by a text without a scheme, which may be a secret and is repeated only where it looks like a host.
func urlHint(s string) string {
	if !plainHost.MatchString(s) || !strings.ContainsAny(s, ".:") && s != "localhost" {
		return " — such as http://127.0.0.1:9001"
	}
	scheme := "https"
	host, _, _ := strings.Cut(s, "/")
	host, _, _ = strings.Cut(host, ":")
	a, err := netip.ParseAddr(host)
	if host == "localhost" || err == nil && (a.IsLoopback() || a.IsPrivate()) || !strings.Contains(host, ".") {
		scheme = "http"
	}
	return fmt.Sprintf(" — did you mean %s://%s?", scheme, clipText(s))
}

// hostPortHint is the host:port that was meant.
func hostPortHint(s string) string {
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = strings.TrimSuffix(rest, "/")
	}
	switch {
	case plainHost.MatchString(s) && portNumber(s[strings.LastIndexByte(s, ':')+1:]) > 0:
		return " — write " + clipText(s)
	case hostName.MatchString(s) && len(s) <= 253:
		return " — add the port: " + clipText(s) + ":6379"
	}
	return " — such as 127.0.0.1:6379"
}

// secretKey finds keys that nobody knows here and whose value is likely a secret.
var secretKey = regexp.MustCompile(`(?i)secret|passw|pwd|token$|credential|private|api_?key`)

// nearScope is the declared scope that was meant: a near one, else the only one that ends with the text, or that the text ends
// with, as where the API's name was put in front, or left out.
func nearScope(got string, declared []string) string {
	if best := nearest(got, slices.Values(declared)); best != "" {
		return best
	}
	var found []string
	for _, s := range declared {
		for _, divider := range []string{":", ".", "/"} {
			if strings.HasSuffix(s, divider+got) || strings.HasSuffix(got, divider+s) {
				found = append(found, s)
			}
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// apiHint says which API was meant, or which there are.
func apiHint(got string, known map[string]int) string {
	if meant := didYouMean(got, maps.Keys(known)); meant != "" {
		return meant
	}
	names := slices.Sorted(maps.Keys(known))
	if len(names) > mostListed {
		return " — see: gatehouse routes list"
	}
	return " — the APIs: " + strings.Join(names, ", ")
}
