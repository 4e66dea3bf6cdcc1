package app

import "gatehouse/internal/config"

// Check builds everything that a configuration describes, the real route table and keys among it, and opens nothing. It is
// what `gatehouse check` runs after loading.
func Check(cfg *config.Config) error {
	o, err := OpenOffline(cfg)
	if err != nil {
		return err
	}
	o.Close()
	return nil
}
