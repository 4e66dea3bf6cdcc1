package config

// Problem is one thing that is wrong, or worth a warning, in the configuration.
type Problem struct {
	Pos
	Message string // what is wrong, what was wanted, and the fix
	Source  string // the line as it stands in the file; empty where there is none to show
}
