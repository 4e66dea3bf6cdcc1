package redistest

import (
	"os"
	"strings"
	"testing"
)

// Password is the one of the users that Documented returns.
const Password = "a-password-of-tests"

// Documented returns the arguments that give a server the user that a file of documentation tells operators to make, in the
// first line that begins with "ACL SETUSER" and contains which; the line's password, >PASSWORD, becomes Password. So what is
// written there is what is tested.
func Documented(t testing.TB, file, which string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(line), "ACL SETUSER ")
		if !ok || !strings.Contains(rule, which) {
			continue
		}
		words := strings.Fields(rule)
		for i, w := range words {
			if w == ">PASSWORD" {
				words[i] = ">" + Password
			}
		}
		return append([]string{"--user"}, words...)
	}
	t.Fatalf("%s has no line ACL SETUSER with %s", file, which)
	return nil
}
