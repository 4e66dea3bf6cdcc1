package authz

// Check names one thing that Decide looks at.
type Check uint8

// The checks, in the order in which Decide makes them.
const (
	CheckReady Check = iota
	CheckToken
	CheckIssuer
	CheckTime
	CheckRevocation
	CheckClient
	CheckAudience
	CheckScopes
	checks // how many there are
)

// The checks of Bearer and Verify, in their order. They come before those of Decide.
const (
	CheckHeader    Check = checks + 1 + iota // there is one Authorization header, of the right form
	CheckForm                                // its token is one that is looked at
	CheckKnown                               // iss names an issuer that is known
	CheckKey                                 // alg is one of that issuer's, and kid names a key of its
	CheckSignature                           // the key made the signature
	CheckClaims                              // the claims have the form of that issuer's access tokens
	endOfChecks
)

// String is the check in a word, for people.
func (c Check) String() string {
	names := [endOfChecks]string{"ready", "token", "issuer", "time", "revocation", "client", "audience", "scopes",
		CheckHeader: "header", "form", "known issuer", "key", "signature", "claims"}
	if c >= endOfChecks || names[c] == "" {
		return "unknown"
	}
	return names[c]
}

// Outcome is how a check ended.
type Outcome uint8

// The outcomes. The zero value is a check that was not made, since an earlier one had refused.
const (
	NotReached Outcome = iota
	Passed
	Failed
)

// String is the outcome in words, for people.
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Failed:
		return "failed"
	}
	return "not reached"
}

// Step is one line of a trace.
type Step struct {
	Check   Check
	Outcome Outcome
}

// traces holds every trace there is, by the check that failed, the last one being that of a decision that allowed: a
// decision on the request path allocates none.
var traces = func() (all [checks + 1][]Step) {
	for failed := range all {
		steps := make([]Step, checks)
		for i := range steps {
			steps[i].Check = Check(i)
			switch {
			case i < failed:
				steps[i].Outcome = Passed
			case i == failed:
				steps[i].Outcome = Failed
			}
		}
		all[failed] = steps
	}
	return all
}()

// Failed is the check that refused; one that Decide does not make where it allowed.
func (d Decision) Failed() Check {
	for _, s := range d.Steps {
		if s.Outcome == Failed {
			return s.Check
		}
	}
	return checks
}
